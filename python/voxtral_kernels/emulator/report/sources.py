"""The lines that findings quote: of the texts given and the files that were read for them, and of nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

_MARKER = re.compile(r'[ \t]*#[ \t]*(?:line[ \t]+)?(\d+)[ \t]+"((?:\\.|[^"\\\n])*)"')


class Sources:
    """Texts by the names that findings call them.

    Args:
        path: The name of the text.
        text: Metal; a region behind ``#line 1 "other.metal"`` is quoted under that name.
    """

    def __init__(self, path: str, text: str):
        self._texts = {path: text.splitlines()}
        self._regions: dict[tuple[str, int], str] = {}
        self._files: Collection[str] = ()
        name, number = path, 1
        for line in text.split("\n"):
            if marker := _MARKER.match(line):
                name, number = re.sub(r"\\(.)", r"\1", marker[2]), int(marker[1])
                continue
            if name != path:
                self._regions.setdefault((name, number), line)
            number += 1

    def may_read(self, files: Collection[str]) -> None:
        """Files that the preprocessor has read."""
        self._files = files

    def add(self, path: str, text: str) -> None:
        """Text of a ``#line`` region, under the region's name."""
        self._texts[path] = text.splitlines()

    def line(self, path: str, number: int) -> str:
        """A line as it stands there, indented; empty where it is not known."""
        if path not in self._texts:
            if path not in self._files:
                return self._regions.get((path, number), "")
            self._texts[path] = Path(path).read_text(errors="replace").splitlines()
        lines = self._texts[path]
        return lines[number - 1] if 0 < number <= len(lines) else ""
