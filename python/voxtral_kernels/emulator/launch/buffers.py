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

    @property
    def is_output(self) -> bool:
        return self.space == "output"

    def native(self) -> Any:
        """The runtime's own."""
        space = getattr(runtime().Space, self.space)
        return runtime().Buffer(self.index, self.name, space, self.size, self.granule, self.initialised, self.data)

    def header(self) -> dict[str, Any]:
        """For a launch in another process, without the bytes."""
        names = ("index", "name", "space", "size", "granule", "initialised")
        return {name: getattr(self, name) for name in names} | {"given": self.data is not None}

    def content(self) -> bytes:
        """The bytes that ``header`` says are given."""
        if self.data is None:
            return b""
        content: bytes = self.native().content()
        return content
