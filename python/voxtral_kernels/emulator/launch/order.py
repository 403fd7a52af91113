"""``emulator.check_order``: results that hang on the order in which lanes run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..errors import KernelError
from ..report import Finding
from .arrays import data_of, differing_bytes


def check_order(
    kernel_call: Callable[[int], Any],
    seeds: Iterable[int] = range(1, 9),
    *,
    first: int = 0,
    raise_findings: bool = True,
) -> list[Finding]:
    """Runs a kernel under several schedules and compares its outputs, bit for bit.

    Args:
        kernel_call: Takes a seed, runs the kernel with it, returns its output or outputs:
            ``lambda seed: kernel(inputs=[x], ..., seed=seed)``.
        seeds: Schedules to compare with that of seed ``first``.
        raise_findings: Whether a difference raises; if not, it is in the returned list.

    Returns:
        One ``order-dependence`` finding for each output that changed, with the first seed and place; empty if none.

    Raises:
        KernelError: an output changed, or the kernel itself failed.
    """
    expected = _outputs(kernel_call(first))
    findings: dict[int, Finding] = {}
    for seed in seeds:
        for i, (want, got) in enumerate(zip(expected, _outputs(kernel_call(seed)), strict=True)):
            count, at = differing_bytes(want, got)
            if not count or i in findings:
                continue
            message = f"output {i} differs between seeds {first} and {seed} in {count} bytes"
            findings[i] = Finding("order-dependence", message, buffer=f"output {i}", offset=at)
    found = [findings[i] for i in sorted(findings)]
    if found and raise_findings:
        raise KernelError("\n".join(map(str, found)), found)
    return found


def _outputs(result: Any) -> list[bytes]:
    outputs = result if isinstance(result, (list, tuple)) else [result]
    return [bytes(data_of(x)[0]) for x in outputs]
