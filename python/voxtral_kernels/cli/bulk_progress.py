"""How far a bulk run is: a bar with hours of audio a second on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from .console import print_note

if TYPE_CHECKING:
    from ..bulk.worker import Done

# Where nothing can be redrawn, how often a line says how far it is.
EVERY_S = 60.0


class Progress:
    """Inside ``with``, what was done is shown.

    Args:
        files: Recordings to do.
    """

    def __init__(self, files: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.files, self.done, self.errors, self.audio_s = files, 0, 0, 0.0
        self._start = self._told = time.monotonic()
        console = Console(stderr=True)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[rate]}"))
        self._bar = Bar(*columns, console=console, disable=not console.is_terminal or sys.stderr.closed)
        self._task = self._bar.add_task("", total=files, rate="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()
        if exception[0] is not None:
            print_note(f"{self.last()}; the same command goes on from here")

    def add(self, done: Done) -> None:
        """A group was done."""
        self.done += done.files
        self.errors += done.errors
        self.audio_s += done.audio_s
        self._bar.update(self._task, completed=self.done, rate=self._rate())
        if self._bar.disable and time.monotonic() - self._told > EVERY_S:
            self._told = time.monotonic()
            print_note(self.last())

    def last(self) -> str:
        """All of it in a line."""
        return f"{self.done} of {self.files} recordings, {self._rate()}"

    def _rate(self) -> str:
        passed = max(time.monotonic() - self._start, 1e-3)
        hours = self.audio_s / 3600
        errors = f", {self.errors} with an error" if self.errors else ""
        return f"{hours:.2f} h of audio in {passed:.0f} s, {hours / passed:.4f} hours a second{errors}"
