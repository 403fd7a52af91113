"""Findings for programs: JSON, and the annotations of GitHub Actions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from .findings import Finding, Place

TOOL = "voxtral-kernels emulate"


def tool_version() -> str:
    """The distribution's: the emulator reads nothing of the package for it."""
    return version("voxtral-kernels")


def as_json(findings: Sequence[Finding], counters: Mapping[str, Any] | None = None, **more: Any) -> str:
    """One object: ``findings``, ``counters`` where there are any, and ``more``."""
    record: dict[str, Any] = {"format": 1, "tool": TOOL, "version": tool_version(), **more}
    record["findings"] = [_finding(f) for f in findings]
    if counters:
        record["counters"] = counters
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def _place(place: Place | None) -> dict[str, Any] | None:
    if place is None:
        return None
    return {"file": place.path, "line": place.line, "column": place.column or None, "text": place.text}


def _finding(f: Finding) -> dict[str, Any]:
    return {
        "kind": f.kind,
        "message": f.sentence,
        "place": _place(f.place),
        "kernel": _place(f.kernel),
        "lane": f.lane,
        "threadgroup": None if f.lane is None else list(f.threadgroup),
        "buffer": f.buffer or None,
        "byte": f.offset if f.buffer else None,
        "other": None
        if f.other is None and f.other_lane is None
        else {"place": _place(f.other), "lane": f.other_lane, "threadgroup": f.other_threadgroup},
        "more": [_place(p) for p in f.more],
        "count": f.count,
    }


def as_github(findings: Iterable[Finding]) -> str:
    """``::error file=...,line=...,col=...,title=...::...``, a line for each finding."""
    return "".join(_annotation(f) for f in findings)


def _annotation(f: Finding) -> str:
    at = f.where
    properties = {"file": at.path, "line": at.line, "col": at.column} if at else {}
    properties["title"] = f.kind
    listed = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items() if value)
    text = "\n".join([f.sentence, *f.details])
    return f"::error {listed}::{_escaped(text)}\n"


def _escaped(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:  # the percent sign first: it is what the others become
        text = text.replace(character, f"%{ord(character):02X}")
    return text
