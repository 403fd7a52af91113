"""What a worker has of a shard that is not finished, for the one that takes over when it dies."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from .shards import writable

# Workers that may die in one recording before it is given up.
TRIES = 3


class Journal:
    """Rows of an unfinished shard, and which recordings were begun.

    Args:
        path: Its file, in a folder that all workers share; None: nothing is kept.
        run: A name of the command's run: deaths in another one are not counted, it may have been ended on purpose.
        retry_errors: A row with an error is taken only where it is of this run.
    """

    def __init__(self, path: Path | None, run: str, *, retry_errors: bool = False) -> None:
        self._path, self._run = path, run
        self.rows: dict[str, dict[str, Any]] = {}
        self._begun: Counter[str] = Counter()
        for line in path.read_bytes().splitlines() if path is not None and path.exists() else ():
            try:
                entry = json.loads(line)
            except ValueError:  # the line at which it died
                continue
            if "row" in entry:
                row = entry["row"]
                if not retry_errors or row["error"] is None or entry.get("run") == run:
                    self.rows[row["id"]] = row
            elif entry["run"] == run:
                self._begun[entry["begun"]] += 1

    def deaths(self, name: str) -> int:
        """How many workers of this run began this recording and wrote no row of it."""
        return 0 if name in self.rows else self._begun[name]

    def begin(self, name: str) -> None:
        """A recording is begun."""
        self._add({"begun": name, "run": self._run})

    def end(self, row: dict[str, Any]) -> None:
        """A recording has its row."""
        self.rows[row["id"]] = row
        self._add({"row": row, "run": self._run})

    def remove(self) -> None:
        """The shard is there."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _add(self, entry: dict[str, Any]) -> None:
        if self._path is None:
            return
        # A new line before it too: the last one may have been cut off.
        with writable(str(self._path.parent)), self._path.open("ab") as file:
            file.write(b"\n" + json.dumps(entry).encode() + b"\n")
