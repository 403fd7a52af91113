"""How kernels are run and checked: what ``metal_kernel`` and ``library`` are given, and a run may change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, SupportsIndex, get_args

from ..runtime import runtime

_MOST = 2**32 - 1
_MOST_INDEX = 31  # buffers, and arguments in threadgroup memory
_MOST_SEED = 2**64 - 1
_MOST_SECONDS = 10**6  # of which the system's own clocks of a process can still count twice, in milliseconds
MOST_THREADS = 16  # each keeps the stacks of 1024 lanes, of which a process may map only so many
Mode = Literal["plain", "checked", "counted"]


def _is_integer(value: object) -> bool:
    return isinstance(value, SupportsIndex) and not isinstance(value, bool)


def by_index(what: str, given: object, most: int = _MOST_INDEX) -> Mapping[int, Any]:
    """What a run is given by indices below ``most``.

    Raises:
        ValueError: it is no mapping, or an index is none.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"[emulator] {what}: expected values by index, {{0: ...}}, got {type(given).__name__}.")
    for index in given:
        if not _is_integer(index) or not 0 <= index < most:
            raise ValueError(f"[emulator] {what}: expected indices of 0 to {most - 1}, got {index!r}.")
    return given


def sizes_of(memory: Mapping[int, Any]) -> Mapping[int, int]:
    """Bytes of threadgroup memory by index.

    Raises:
        ValueError: a size is none.
    """
    for index, size in memory.items():
        if not _is_integer(size) or not 0 <= size <= _MOST:
            raise ValueError(f"[emulator] threadgroup_memory: expected bytes at {index}, got {size!r}.")
    return memory


@dataclass(frozen=True)
class Settings:
    """The arguments of the same names of ``metal_kernel``.

    Raises:
        ValueError: a mode that there is none of, or a seed, a time or threads that the runtime cannot have.
    """

    mode: Mode = "checked"
    seed: int = 0
    raise_findings: bool = True
    step_limit: int = 0
    time_limit: float = 120.0
    isolate: bool = False
    threads: int = 1

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ValueError(f"[emulator] mode: expected one of {', '.join(get_args(Mode))}, got {self.mode!r}.")
        if not _is_integer(self.threads) or not 1 <= self.threads <= MOST_THREADS:
            raise ValueError(f"[emulator] threads: expected 1 to {MOST_THREADS}, got {self.threads!r}.")
        if not _is_integer(self.seed) or not 0 <= self.seed <= _MOST_SEED:
            raise ValueError(f"[emulator] seed: expected 0 to 2^64 - 1, got {self.seed!r}.")
        if not _is_integer(self.step_limit) or not 0 <= self.step_limit <= _MOST_SEED:
            raise ValueError(f"[emulator] step_limit: expected 0 to 2^64 - 1 steps, got {self.step_limit!r}.")
        if not isinstance(self.time_limit, (int, float)) or not 0 <= self.time_limit <= _MOST_SECONDS:
            raise ValueError(f"[emulator] time_limit: expected 0 to {_MOST_SECONDS} seconds, got {self.time_limit!r}.")
        if self.threads > 1:
            self._require_sharing()

    def _require_sharing(self) -> None:
        """Raises ValueError where a launch cannot have several threads."""
        alone = "counted" if self.mode == "counted" else "isolate=True" if self.isolate else ""
        if alone:
            raise ValueError(f"[emulator] threads: expected 1 with {alone}, got {self.threads}.")

    def with_changes(self, **changes: Any) -> Settings:
        """The settings of one run: None leaves one as it is."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def options(self, grid: Sequence[int], threadgroup: Sequence[int]) -> Any:
        """The runtime's options of a launch of this size, in threads; the sizes are checked."""
        for what, size in (("grid", grid), ("threadgroup", threadgroup)):
            if not hasattr(size, "__len__") or len(size) != 3 or not all(_is_integer(n) and n > 0 for n in size):
                raise ValueError(f"[emulator] {what}: expected three positive sizes, got {size!r}.")
        cut = [min(int(t), int(g)) for t, g in zip(threadgroup, grid, strict=True)]
        count = math.prod(-(-int(g) // t) for g, t in zip(grid, cut, strict=True))
        if max(map(int, grid)) > _MOST or count > _MOST:
            message = f"expected at most 2^32 - 1 threads in a dimension and threadgroups in all, got {tuple(grid)}"
            raise ValueError(f"[emulator] grid: {message} in {count} threadgroups.")
        native = runtime()
        options = native.Options()
        options.mode = getattr(native.Mode, self.mode)
        options.seed, options.threads = self.seed, self.threads
        options.step_limit, options.seconds_limit = self.step_limit, self.time_limit
        options.grid = [int(n) for n in grid]
        options.threadgroup = cut
        return options
