"""Suspicious blanks, heard again by a stream with fresh state; what it says there is put where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..result import Word
from .guard import Span

if TYPE_CHECKING:
    from .stream import Stream

# Seconds before and behind a blank that are heard with it, and the longest that is held for it.
AROUND_S, LONGEST_S = 1.0, 600.0


class Blank(NamedTuple):
    """A suspicious blank that has ended: its span, its audio from ``begin_s`` on, the length of the text before it."""

    span: Span
    begin_s: float
    samples: np.ndarray
    at: int


class Retries:
    """Holds the audio of blanks for as long as they may be suspicious.

    Args:
        rate: Of the samples, in Hz.
    """

    def __init__(self, rate: int) -> None:
        self._rate, self._end = rate, 0  # samples that were heard
        self._held = np.zeros(0, np.float32)
        self._span: Span | None = None
        self._at = 0
        self.blanks: list[Blank] = []

    def hear(self, samples: np.ndarray, since_s: float | None) -> None:
        """Samples, of which those from ``since_s`` on are still wanted; None: only the newest."""
        self._end += len(samples)
        begin = self._end / self._rate if since_s is None else since_s
        keep = min(self._end - round((begin - AROUND_S) * self._rate), round(LONGEST_S * self._rate))
        held = np.concatenate([self._held, samples])
        self._held = held[max(0, len(held) - max(keep, len(samples))) :]

    def told(self, span: Span, at: int) -> None:
        """A blank is suspicious, or longer by now; ``at``: the length of the text."""
        self._span, self._at = span, at

    def ended(self) -> None:
        """Whatever blank there was has ended."""
        if self._span is None:
            return
        first = self._end - len(self._held)
        start, stop = (round(s * self._rate) for s in (self._span[0] - AROUND_S, self._span[1] + AROUND_S))
        start = max(first, start, 0)
        samples = self._held[start - first : max(stop - first, 0)]
        if len(samples):
            self.blanks.append(Blank(self._span, start / self._rate, np.array(samples), self._at))
        self._span = None


def redone(blanks: list[Blank], new_stream: Callable[[], Stream], text: str) -> tuple[str, list[Word]]:
    """The text with what fresh streams say of the blanks, and the words of it.

    Args:
        blanks: In their order.
        new_stream: Makes a fresh stream.
        text: As it is.
    """
    words: list[Word] = []
    parts, done = [], 0
    for blank in blanks:
        stream = new_stream()
        stream.feed(blank.samples)
        stream.finish()
        moved = [Word(w.text, w.start_s + blank.begin_s, w.end_s + blank.begin_s) for w in stream.words]
        found = [w for w in moved if blank.span[0] - AROUND_S / 2 <= w.end_s <= blank.span[1]]
        words += found
        parts += [text[done : blank.at].strip(), " ".join(w.text for w in found)]
        done = blank.at
    return " ".join(filter(None, [*parts, text[done:].strip()])), words
