"""Findings of the runtime, which knows addresses only, told by lines and columns of the user's text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .findings import Finding, Place
from .lines import LineTable

_WORD = re.compile(r"[^\W\d]\w*|\.?\d[\w.]*|\S")
_MARKER = re.compile(r'#line (\d+)(?: "((?:\\.|[^"\\])*)")?')


class Columns:
    """Columns of the user's text for those that the compiler names, which it counts in the translated text."""

    def __init__(self, translated: str):
        self._text = translated
        self._lines: dict[tuple[str, int], list[str]] = {}

    def find(self, path: str, line: int, column: int, source: str, buffer: str = "") -> int:
        """The column in ``source``, the user's line, from 1: of the word that the compiler means; where a macro or the
        translation has hidden it, of the only mention of ``buffer``, or else of the first word; 0 for an empty line."""
        words = _words(source)
        for text in self._translated(path, line) if column else ():
            written = _words(text)
            meant = next((w for at, w in written if at == column), None)
            if meant is None:
                continue
            if not (meant[0].isalnum() or meant[0] == "_"):  # an assignment's sign: what it assigns to is meant
                before = [at for at, w in written if at < column and w == buffer]
                meant, column = (buffer, before[-1]) if before else (meant, column)
            places = [at for at, w in words if w == meant]
            if len(places) == sum(w == meant for _, w in written):
                return places[sum(w == meant and at < column for at, w in written)]
        mentions = [at for at, w in words if buffer and w == buffer]
        return mentions[0] if len(mentions) == 1 else next((at for at, _ in words), 0)

    def _translated(self, path: str, line: int) -> list[str]:
        if not self._lines:
            name, number = "", 1
            for text in self._text.split("\n"):
                if marker := _MARKER.match(text):
                    number = int(marker[1])
                    name = re.sub(r"\\(.)", r"\1", marker[2]) if marker[2] is not None else name
                    continue
                self._lines.setdefault((name, number), []).append(text)
                number += 1
        return self._lines.get((path, line), [])


def _words(text: str) -> list[tuple[int, str]]:
    return [(found.start() + 1, found.group()) for found in _WORD.finditer(text)]


def make_place(path: str, line: int, source: str, column: int) -> Place:
    """A place from the user's line as it stands in the file."""
    return Place(path, line, source.strip(), column)


def make_finding(
    raw: Any,
    lines: LineTable,
    columns: Columns,
    source_line: Callable[[str, int], str],
    kernel: Place,
    names: Mapping[str, str],
) -> Finding:
    """A finding of the runtime: its program counters turned into lines, its buffers' names into those of ``names``."""
    buffer = names.get(raw.buffer, raw.buffer)

    def place(found: tuple[str, int, int] | None) -> Place | None:
        if found is None:
            return None
        source = source_line(found[0], found[1])
        return make_place(found[0], found[1], source, columns.find(*found, source, buffer))

    at = (raw.file, raw.line, raw.column) if raw.file else lines.find(raw.pc)
    return Finding(
        raw.kind,
        raw.detail,
        place(at),
        None if raw.lane < 0 else raw.lane,
        tuple(raw.threadgroup),
        buffer,
        raw.offset,
        place(lines.find(raw.other_pc)),
        None if raw.other_lane < 0 else raw.other_lane,
        None if raw.other_threadgroup < 0 else raw.other_threadgroup,
        raw.count,
        kernel=kernel,
    )
