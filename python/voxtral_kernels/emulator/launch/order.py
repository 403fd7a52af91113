"""``emulator.check_order``: results that hang on the order in which lanes run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import KernelError
from ..report import Finding
from .arrays import data_of


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
            if i in findings or want.tobytes() == got.tobytes():
                continue
            bytes_ = np.flatnonzero(want.view(np.uint8).ravel() != got.view(np.uint8).ravel())
            message = f"output {i} differs between seeds {first} and {seed} in {bytes_.size} bytes"
            findings[i] = Finding("order-dependence", message, buffer=f"output {i}", offset=int(bytes_[0]))
    found = [findings[i] for i in sorted(findings)]
    if found and raise_findings:
        raise KernelError("\n".join(map(str, found)), found)
    return found


def _outputs(result: Any) -> Sequence[np.ndarray]:
    outputs = result if isinstance(result, (list, tuple)) else [result]
    return [np.frombuffer(bytes(data_of(x)[0]), np.uint8) for x in outputs]
