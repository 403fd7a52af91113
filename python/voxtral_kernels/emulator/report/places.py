"""Findings of the runtime, which knows addresses only, told by lines of the user's text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .findings import Finding, Place
from .lines import LineTable


def make_finding(raw: Any, lines: LineTable, source_line: Callable[[str, int], str]) -> Finding:
    """A finding of the runtime, its program counters turned into lines."""

    def place(pc: int) -> Place | None:
        found = lines.find(pc)
        return Place(*found, source_line(*found)) if found else None

    at = Place(raw.file, raw.line, source_line(raw.file, raw.line)) if raw.file else place(raw.pc)
    return Finding(
        raw.kind,
        raw.detail,
        at,
        None if raw.lane < 0 else raw.lane,
        raw.threadgroup,
        raw.buffer,
        raw.offset,
        place(raw.other_pc),
        None if raw.other_lane < 0 else raw.other_lane,
        None if raw.other_threadgroup < 0 else raw.other_threadgroup,
    )
