"""What a run found and counted, in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Place:
    """A line of the user's text, and what stands there."""

    path: str
    line: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" + (f": {self.text}" if self.text else "")


@dataclass(frozen=True)
class Finding:
    """One fault.

    ``kind`` is one of KINDS; ``place`` and ``other`` (the other access of a race, the other place of a divergence) are
    lines of the user's text, where they are known; ``lane`` is the index in the threadgroup; ``offset`` counts bytes
    from the start of ``buffer`` (None where the compiler does not tell it).
    """

    kind: str
    message: str
    place: Place | None = None
    lane: int | None = None
    threadgroup: tuple[int, int, int] = (0, 0, 0)
    buffer: str = ""
    offset: int | None = 0
    other: Place | None = None
    other_lane: int | None = None
    other_threadgroup: int | None = None

    @property
    def line(self) -> int | None:
        return self.place.line if self.place else None

    @property
    def path(self) -> str | None:
        return self.place.path if self.place else None

    def __str__(self) -> str:
        text = f"{self.kind}: {self.message}"
        if self.buffer:
            text += f", {self.buffer}" + ("" if self.offset is None else f" at byte {self.offset}")
        if self.lane is not None:
            text += f" [lane {self.lane} of threadgroup {self.threadgroup}]"
        if self.place:
            text += f"\n    at {self.place}"
        if self.other_lane is not None:
            where = "" if self.other_threadgroup is None else f" of threadgroup #{self.other_threadgroup}"
            text += f"\n    the other: lane {self.other_lane}{where}" + (f" at {self.other}" if self.other else "")
        return text


KINDS = {
    "out-of-bounds": "an access outside of its buffer, threadgroup variable or private array",
    "null-pointer": "an access through a null pointer, or at an offset from one",
    "wild-pointer": "an access that is in no buffer at all",
    "misaligned": "a vector access whose address its type does not allow",
    "write-to-input": "a write to an input or to constant memory",
    "uninitialised-read": "a read of threadgroup or output memory that nobody wrote",
    "uninitialised-private": "a result that hangs on a private variable before it has a value",
    "race": "two lanes access the same bytes, one of them writes, and no barrier stands between",
    "missing-mem-flags": "a race across a barrier that does not name this kind of memory",
    "barrier-divergence": "a threadgroup barrier that not all lanes reach",
    "simd-divergence": "a simdgroup operation that not all active lanes reach",
    "threads-limit": "more than 1024 threads in a threadgroup",
    "threadgroup-memory-limit": "more than 32 KB of threadgroup memory",
    "unwritten-output": "bytes of an output that were never written",
    "order-dependence": "a result that changes with the order in which lanes run",
    "division-by-zero": "an integer divided by zero",
    "stack-overflow": "private memory beyond what the emulator gives a lane",
    "step-limit": "a kernel that does not come to an end",
    "crash": "the kernel crashed in another way",
}


@dataclass(frozen=True)
class Report:
    """``findings`` of the last run (empty when clean) and, in counted mode, its ``counters``."""

    findings: list[Finding] = field(default_factory=list)
    counters: dict[str, Any] = field(default_factory=dict)
    total: int = 0  # findings of this run, those left out included

    def __str__(self) -> str:
        lines = [str(f) for f in self.findings]
        if self.total > len(self.findings):
            lines.append(f"... {self.total} in all; one for each kind and line is shown")
        return "\n".join(lines) or "no findings"
