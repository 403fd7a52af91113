"""Outcomes in words and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..report import Finding
from ..report.formats import as_github, as_json
from ..report.sarif import as_sarif
from .work import Outcome

FORMATS = ("text", "json", "sarif", "github")


def told(outcomes: Sequence[Outcome], action: str, form: str) -> str:
    """All outcomes of an action (check, run, counters) in one of FORMATS."""
    findings = [f for outcome in outcomes for f in outcome.findings]
    if form == "json":
        return as_json(findings, action=action, runs=[_run(outcome) for outcome in outcomes])
    if form == "sarif":
        return as_sarif(findings)
    if form == "github":
        return as_github(findings)
    return _text(outcomes, findings, action)


def _run(outcome: Outcome) -> dict[str, Any]:
    told = {"file": outcome.file, "entry": outcome.entry or None, "findings": len(outcome.findings)}
    return told | ({"counters": outcome.counters} if outcome.counters else {})


def _text(outcomes: Sequence[Outcome], findings: Sequence[Finding], action: str) -> str:
    lines: list[str] = []
    for outcome in outcomes:
        lines += [str(finding) for finding in outcome.findings]
        if outcome.counters:
            lines += [f"{outcome.file}: {outcome.entry}", *_counted(outcome.counters)]
    done = {"check": "checked", "run": "run", "counters": "counted"}[action]
    kernels = sum(bool(outcome.entry) for outcome in outcomes)
    files = len({outcome.file for outcome in outcomes})
    what = f"{_many(kernels, 'kernel')} of {_many(files, 'file')} {done}"
    lines.append(f"{what}: {_many(len(findings), 'finding') if findings else 'no findings'}")
    return "\n".join(lines) + "\n"


def _many(n: int, word: str) -> str:
    return f"{n} {word}" + ("" if n == 1 else "s")


def _counted(counters: Mapping[str, Any]) -> list[str]:
    """A table of what moved; the columns of docs/emulator.md."""
    rows = [["", "read", "distinct", "written", "distinct", "accesses", "segments", "ideal"]]
    for name, t in counters.get("buffers", {}).items():
        rows.append([name, t["bytes_read"], t["distinct_bytes_read"], t["bytes_written"], t["distinct_bytes_written"]])
        rows[-1] += [t["accesses"], t["segments"], t["ideal_segments"]]
    for name, t in counters.get("threadgroup_memory", {}).items():
        rows.append([f"threadgroup {name}", t["bytes_read"], "", t["bytes_written"], "", t["accesses"]])
        rows[-1] += [f"{t['bank_conflicts']} bank conflicts", ""]
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    aligned = [[f"{cell!s:>{w}}" if i else f"{cell!s:<{w}}" for i, (cell, w) in enumerate(zip(r, widths, strict=True))]
               for r in rows]  # fmt: skip
    summary = f"{counters['threads']} threads, {counters['threadgroups']} threadgroups, {counters['barriers']} barriers"
    parts = [summary, *(f"{n} {name}" for name, n in counters["simd_operations"].items())]
    return ["  " + "  ".join(row).rstrip() for row in aligned] + ["  " + ", ".join(parts)]
