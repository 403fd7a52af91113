"""How kernels are run and checked: what ``metal_kernel`` and ``library`` are given, and a run may change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from ..runtime import runtime

_MOST = 2**32 - 1
_MOST_SEED = 2**64 - 1
_MOST_SECONDS = 10**6  # of which the system's own clocks of a process can still count twice, in milliseconds
MOST_THREADS = 16  # each keeps the stacks of 1024 lanes, of which a process may map only so many
Mode = Literal["plain", "checked", "counted"]


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
        if not isinstance(self.threads, int) or not 1 <= self.threads <= MOST_THREADS:
            raise ValueError(f"[emulator] threads: expected 1 to {MOST_THREADS}, got {self.threads!r}.")
        if not 0 <= self.seed <= _MOST_SEED:
            raise ValueError(f"[emulator] seed: expected 0 to 2^64 - 1, got {self.seed!r}.")
        if not 0 <= self.time_limit <= _MOST_SECONDS:
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
            if len(size) != 3 or any(int(n) < 1 for n in size):
                raise ValueError(f"[emulator] {what}: expected three positive sizes, got {tuple(size)}.")
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
