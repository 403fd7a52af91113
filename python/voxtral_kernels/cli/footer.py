"""A progress bar under text that grows on the same terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import unicodedata

# The most columns that the bar takes.
WIDEST = 60


class Footer:
    """Drawn on standard error in the line below the text; the cursor stays at the text's end.

    Args:
        total_s: Length of the audio in seconds.
    """

    def __init__(self, total_s: float) -> None:
        self._total_s = total_s
        self._text: str | None = None

    @staticmethod
    def fits() -> bool:
        """Whether both standard streams are one terminal that can move its cursor."""
        try:
            same = os.ttyname(1) == os.ttyname(2)
        except OSError:
            return False
        return same and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")

    def draw(self, text: str, heard_s: float, clock: str) -> None:
        """Under ``text``, which standard output shows from the start of a line on."""
        self._text, width = text.strip(), _width()
        at = column(self._text, width)
        if at == 0 and self._text:
            return  # the line is full: until more comes, the terminal's cursor stands on its last character
        room = min(WIDEST, width - len(clock) - 2)
        done = round(room * min(1.0, heard_s / self._total_s))
        bar = "━" * done + "─" * (room - done)
        _write(f"\x1b[K\n\x1b[K{bar} {clock}\x1b[A\x1b[{at + 1}G" if room > 0 else "")

    def clear(self) -> None:
        """Nothing of it stays."""
        if self._text is not None:
            at = column(self._text, _width())
            _write(f"\n\x1b[J\x1b[A\x1b[{_width() if self._text and not at else at + 1}G")


def column(text: str, width: int) -> int:
    """Where the cursor stands behind a text that the terminal wraps; 0 is behind a full line too."""
    at = 0
    for character in text:
        cells = _cells(character)
        if character == "\n" or at + cells > width:
            at = 0
        at += cells
    return at % width


def _cells(character: str) -> int:
    if character == "\n" or unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _width() -> int:
    try:
        return max(1, os.get_terminal_size(2).columns or 80)
    except OSError:
        return 80


def _write(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        sys.stderr.write(text)
        sys.stderr.flush()
