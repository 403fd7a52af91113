"""Keeps docs/soak.md: what the last soak of each test file found, on which commit."""

import datetime
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

from bench.report.files import write_text

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "docs" / "soak.md"
HEAD = "| test file | outcome | seconds | commit | date |\n| --- | --- | ---: | --- | --- |\n"


class SoakRecord:
    """A pytest plug-in: one row a test file, renewed when the whole file was soaked."""

    def __init__(self):
        self._outcomes = defaultdict(Counter)
        self._seconds = Counter()

    def pytest_runtest_logreport(self, report):
        file = report.nodeid.partition("::")[0]
        self._seconds[file] += report.duration
        if report.when == "call" or report.outcome != "passed":
            self._outcomes[file][report.outcome] += 1

    def pytest_sessionfinish(self, session):
        option = session.config.option
        if option.keyword or any("::" in argument for argument in session.config.args):
            return
        text = RECORD.read_text()
        before, _, table = text.partition(HEAD)
        rows = dict(line.strip("| ").split(" | ", 1) for line in table.splitlines())
        stamp = f"{_commit()} | {datetime.date.today()}"
        for file, outcomes in self._outcomes.items():
            found = ", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items()))
            rows[f"`{file}`"] = f"{found} | {self._seconds[file]:.0f} | {stamp}"
        lines = (f"| {file} | {row.rstrip(' |')} |" for file, row in sorted(rows.items()))
        write_text(RECORD, before + HEAD + "\n".join(lines) + "\n")


def _commit():
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "none"
