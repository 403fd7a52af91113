"""Findings as a log of the Static Analysis Results Interchange Format, SARIF 2.1.0 (OASIS)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .findings import KINDS, Finding, Place
from .formats import TOOL, tool_version
from .refusals import KINDS as REFUSALS

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_WORDS = {**KINDS, **REFUSALS}


def as_sarif(findings: Sequence[Finding]) -> str:
    """A log of one run. Paths below the working folder are written relative to it, as code scanning services want."""
    kinds = sorted({f.kind for f in findings})
    driver = {
        "name": TOOL,
        "version": tool_version(),
        "rules": [{"id": kind, "shortDescription": {"text": _WORDS.get(kind, kind)}} for kind in kinds],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(f, kinds.index(f.kind)) for f in findings],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _result(f: Finding, rule: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": f.kind,
        "ruleIndex": rule,
        "level": "error",
        "message": {"text": "\n".join([f.sentence, *f.details])},
        "occurrenceCount": f.count,
    }
    if f.where:
        result["locations"] = [{"physicalLocation": _physical(f.where)}]
        # What the finding is by its text, so that a line that moves is not a new alert.
        same = "\0".join([f.kind, f.buffer, f.where.path, f.where.text])
        result["partialFingerprints"] = {"cause/v1": hashlib.sha256(same.encode()).hexdigest()[:32]}
    others = [place for place in (f.other, *f.more) if place]
    if others:
        result["relatedLocations"] = [
            {"id": i, "message": {"text": "the other access"}, "physicalLocation": _physical(place)}
            for i, place in enumerate(others)
        ]
    return result


def _physical(place: Place) -> dict[str, Any]:
    region: dict[str, Any] = {"startLine": place.line}
    if place.column:
        region["startColumn"] = place.column
    if place.text:
        region["snippet"] = {"text": place.text}
    return {"artifactLocation": {"uri": _uri(place.path)}, "region": region}


def _uri(path: str) -> str:
    if not os.path.isabs(path):
        return quote(Path(path).as_posix())
    here = os.getcwd()
    real = os.path.normpath(path)
    return quote(os.path.relpath(real, here)) if real.startswith(here + os.sep) else Path(real).as_uri()
