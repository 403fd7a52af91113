"""A buffer of a launch, before the runtime has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..runtime import runtime


@dataclass(frozen=True)
class Buffer:
    """``size`` bytes at ``index``; ``space`` is "input", "output" or "constant"; no ``data``: all bytes 0xff."""

    index: int
    name: str
    space: str
    size: int
    granule: int
    initialised: bool = True
    data: Any = None
    shares: int = -1  # the index of the buffer whose memory it is; -1: it has its own
    shares_from: int = 0  # the byte there at which it starts

    @property
    def is_output(self) -> bool:
        return self.space == "output"

    def native(self) -> Any:
        """The runtime's own."""
        space = getattr(runtime().Space, self.space)
        args = (self.index, self.name, space, self.size, self.granule, self.initialised, self.data)
        return runtime().Buffer(*args, self.shares, self.shares_from)

    def header(self) -> dict[str, Any]:
        """For a launch in another process, without the bytes."""
        names = ("index", "name", "space", "size", "granule", "initialised", "shares", "shares_from")
        return {name: getattr(self, name) for name in names} | {"given": self.data is not None}

    def content(self) -> bytes:
        """The bytes that ``header`` says are given."""
        if self.data is None:
            return b""
        content: bytes = self.native().content()
        return content
