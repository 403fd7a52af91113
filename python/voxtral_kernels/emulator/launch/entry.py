"""A compiled entry point, and its launches: the run itself, and those that tell what one run cannot."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import KernelError
from ..frontend.unit import Kernel
from ..report import Finding, LineTable
from ..runtime import runtime
from . import inactive, isolated, private
from .buffers import Buffer

_NARROW = (
    "[emulator] this process gets too few addresses to keep buffers 22 GiB apart: an index that wraps at 32 bits may"
    " lead to another buffer, which is no finding then"
)


@dataclass
class Entry:
    """A compiled entry point: the library, the symbol in it, and what the kernel takes."""

    path: Path
    symbol: str
    kernel: Kernel
    lines: LineTable
    source: tuple[str, Sequence[str]]  # what was compiled, and its macros
    fills: private.Fills | None  # of a checked one
    isolate: bool
    make: Callable[..., Path]  # toolchain.compile_library, confined as the program is

    def run(self, buffers: Sequence[Buffer], options: Any, path: Path | None = None) -> Any:
        """One launch, of the library at another path where one is given."""
        path = path or self.path
        result: Any
        if self.isolate:
            result = isolated.launch(path, self.symbol, buffers, options)
        else:
            result = runtime().launch(_loaded(path), self.symbol, [b.native() for b in buffers], options)
            if result.used_atomics:
                what = f"expected 1 for {self.kernel.name}, which uses atomics in device memory, got {options.threads}"
                raise KernelError(f"[emulator] threads: {what}.")
        if result.is_narrow and options.mode != runtime().Mode.plain:
            warnings.warn(_NARROW, RuntimeWarning, stacklevel=2)
        return result


@lru_cache(256)
def _loaded(path: Path) -> Any:
    return runtime().Library(str(path))


def launch(entry: Entry, buffers: Sequence[Buffer], options: Any) -> tuple[Any, list[Finding], Entry]:
    """The result of a run, what further runs with other fills of private variables showed, and what ran."""
    native, checked = runtime(), options.mode
    result = entry.run(buffers, options)
    if any(f.detail == _PRIVATE for f in result.findings):
        return _second_opinion(entry, buffers, options, result)
    if entry.fills is None or not result.completed or result.findings or checked != native.Mode.checked:
        return result, [], entry
    names = {p.index: p.name for p in entry.kernel.parameters if p.kind == "buffer"}
    if result.absent:
        found = inactive.findings(result, options, lambda: entry.run(buffers, options), names)
        if found:
            outputs, counters = dict(result.outputs), dict(result.counters)
            return isolated.Result(outputs, found, len(found), True, counters), [], entry
    options.mode = native.Mode.plain
    try:
        again = entry.fills.findings(result, lambda path: entry.run(buffers, options, path).outputs, names)
    finally:
        options.mode = checked
    return result, again, entry


# What the compiler's own check says (callbacks.cpp); it takes a null that it sees for an array of no elements.
_PRIVATE = "an access outside of its private array"


def _second_opinion(
    entry: Entry, buffers: Sequence[Buffer], options: Any, result: Any
) -> tuple[Any, list[Finding], Entry]:
    """The run without that check, if it shows that the pointer is null."""
    text, defines = entry.source
    path = entry.make(text, True, defines, "pattern", local_bounds=False)
    other = replace(entry, path=path, lines=LineTable(path))
    again = other.run(buffers, options)
    is_null = any(f.kind == "null-pointer" for f in again.findings)
    return (again, [], other) if is_null else (result, [], entry)
