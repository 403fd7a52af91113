"""Private variables read before they have a value: such a kernel does something else with another fill of them.

A register leaves no trace that an access check could see. So beside a checked kernel, whose private variables are
filled with NaN, a plain one is compiled that fills them with zero, and a launch without other findings runs it too. The
same outputs mean that no fill was read. Where they differ, a plain kernel with the first fill decides: two compilations
may differ in what is no value, the bits of a NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

from ..report import Finding, images
from .arrays import differing_bytes

_MANY_STEPS = 1 << 22  # what a launch of more would take again, and again, is worth two more compilations


class Fills:
    """The plain kernels beside a checked one.

    Args:
        make: Compiles one, for a fill; ``is_brief`` where it need not be fast.
        zero: Such a brief one, filled with zero.
    """

    def __init__(self, make: Callable[..., Path], zero: Path):
        self._make = make
        self._zero = zero
        self._is_same_code: bool | None = None

    def findings(
        self, checked: Any, run: Callable[[Path], Mapping[int, bytes]], names: Mapping[int, str]
    ) -> list[Finding]:
        """What hangs on the fill in a launch whose checked run is given; ``run`` launches another library."""
        if checked.counters["steps"] > _MANY_STEPS and self._same_code():
            return []
        zero = run(self._zero)
        if zero == checked.outputs:
            return []
        return compare(run(self._make("pattern", is_brief=True)), zero, names)

    def _same_code(self) -> bool:
        """Whether the compiler, at its best, proves that no fill is read."""
        if self._is_same_code is None:
            pattern, zero = (images.code(self._make(fill, is_brief=False).read_bytes()) for fill in ("pattern", "zero"))
            self._is_same_code = pattern == zero
        return self._is_same_code


def compile_all(
    make: Callable[..., Path], text: str, instrumented: bool, defines: Sequence[str]
) -> tuple[Path, Fills | None]:
    """The library of a kernel and, of a checked one, those with other fills of private variables."""
    if not instrumented:
        return make(text, False, defines, "pattern"), None

    def plain(fill: str, is_brief: bool) -> Path:
        return make(text, False, defines, fill, is_brief=is_brief)

    with ThreadPoolExecutor(1) as pool:
        zero = pool.submit(copy_context().run, plain, "zero", True)
        checked = make(text, True, defines, "pattern")
        return checked, Fills(plain, zero.result())


def compare(outputs: Mapping[int, bytes], again: Mapping[int, bytes], names: Mapping[int, str]) -> list[Finding]:
    """One finding for each output that hangs on the fill."""
    findings = []
    for index, want in outputs.items():
        count, first = differing_bytes(want, again.get(index, b""))
        if count:
            message = f"{count} bytes hang on what a private variable holds before it is set"
            findings.append(Finding("uninitialised-private", message, buffer=names[index], offset=first))
    return findings
