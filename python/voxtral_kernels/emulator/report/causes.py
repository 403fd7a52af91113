"""One finding for each cause: what the runtime saw from both sides, or at many bytes, is told once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .findings import Finding, Place


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """In the order of the first of each cause; counts add up, further lines go to ``more``."""
    causes: list[Finding] = []
    for finding in findings:
        for i, first in enumerate(causes):
            if _same_cause(first, finding):
                causes[i] = _with(first, finding)
                break
        else:
            causes.append(finding)
    return causes


def _line(place: Place | None) -> tuple[str, int] | None:
    return (place.path, place.line) if place else None


def _lines(finding: Finding) -> set[tuple[str, int] | None]:
    return {_line(place) for place in (finding.place, finding.other, *finding.more) if place is not None}


def _same_cause(first: Finding, then: Finding) -> bool:
    """Same kind, buffer and line; of two accesses that meet, either may be the one that is seen again."""
    if (first.kind, first.buffer) != (then.kind, then.buffer):
        return False
    if first.place is None or then.place is None:
        return first.place is then.place and first.message == then.message
    if first.other is None or then.other is None:
        return _line(first.place) == _line(then.place)
    return bool(_lines(first) & _lines(then))


def _with(first: Finding, then: Finding) -> Finding:
    told = _lines(first)
    more = tuple(p for p in (then.place, then.other) if p is not None and _line(p) not in told)
    return replace(first, count=first.count + then.count, more=(*first.more, *more))
