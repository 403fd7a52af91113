"""What a run found and counted, in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A line of the user's text, what stands there, and the column (from 1; 0 where it is not known)."""

    path: str
    line: int
    text: str = ""
    column: int = 0

    @property
    def position(self) -> str:
        """``file:line:column``."""
        return f"{self.path}:{self.line}" + (f":{self.column}" if self.column else "")

    def __str__(self) -> str:
        return self.position + (f": {self.text}" if self.text else "")


@dataclass(frozen=True)
class Finding:
    """One cause, as it was first seen.

    ``kind`` is one of KINDS; ``place`` and ``other`` (the other access of a race, the other place of a divergence) are
    lines of the user's text, where they are known, and ``more`` further lines of the same cause; ``kernel`` is where
    the kernel is declared; ``lane`` is the index in the threadgroup; ``offset`` counts bytes from the start of
    ``buffer`` (None where the compiler does not tell it); ``count`` says how often it came.
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
    count: int = 1
    more: tuple[Place, ...] = ()
    kernel: Place | None = None

    @property
    def line(self) -> int | None:
        return self.place.line if self.place else None

    @property
    def path(self) -> str | None:
        return self.place.path if self.place else None

    @property
    def where(self) -> Place | None:
        """What to open in an editor: the place, or else the kernel."""
        return self.place or self.kernel

    @property
    def sentence(self) -> str:
        """The message, and in which buffer."""
        if not self.buffer:
            return self.message
        return f"{self.message} ({self.buffer}" + ("" if self.offset is None else f" at byte {self.offset}") + ")"

    @property
    def details(self) -> list[str]:
        """The line itself, who was there, and the other access."""
        lines = [self.place.text] if self.place and self.place.text else []
        if self.lane is not None:
            lines.append(f"lane {self.lane} of threadgroup {self.threadgroup}")
        if self.other_lane is not None:
            where = "" if self.other_threadgroup is None else f" of threadgroup #{self.other_threadgroup}"
            lines.append(f"the other: lane {self.other_lane}{where}" + (f" at {self.other}" if self.other else ""))
        lines += [f"also at {place}" for place in self.more]
        if self.count > 1:
            lines.append(f"{self.count} times in all")
        return lines

    def __str__(self) -> str:
        at = f"{self.where.position}: " if self.where else ""
        return "\n    ".join([f"{at}{self.kind}: {self.sentence}", *self.details])


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
    "inactive-lane": "a result that hangs on a shuffle from a lane that is not there",
    "threads-limit": "more than 1024 threads in a threadgroup",
    "threadgroup-memory-limit": "more than 32 KB of threadgroup memory",
    "unwritten-output": "bytes of an output that were never written",
    "order-dependence": "a result that changes with the order in which lanes run",
    "division-by-zero": "an integer divided by zero",
    "stack-overflow": "private memory beyond what the emulator gives a lane",
    "step-limit": "a kernel that does not come to an end",
    "crash": "the kernel crashed in another way",
}
