"""The report of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .findings import Finding
from .formats import as_github, as_json
from .sarif import as_sarif


@dataclass(frozen=True)
class Report:
    """``findings`` of the last run (empty when clean) and, in counted mode, its ``counters``."""

    findings: list[Finding] = field(default_factory=list)
    counters: dict[str, Any] = field(default_factory=dict)
    total: int = 0  # how often anything was found, repeats included

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "no findings"

    def to_json(self) -> str:
        """Findings and counters as JSON; docs/emulator.md has the fields."""
        return as_json(self.findings, self.counters)

    def to_sarif(self) -> str:
        """Findings as a log of SARIF 2.1.0, which code scanning services and editors read."""
        return as_sarif(self.findings)

    def to_github(self) -> str:
        """Findings as annotations of GitHub Actions, a line each."""
        return as_github(self.findings)
