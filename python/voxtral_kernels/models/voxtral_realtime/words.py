"""Words and their times out of the token stream."""

from __future__ import annotations

from typing import NamedTuple

from ...tokenizer import TextDecoder, Tokenizer
from ..result import Word


class WordTracker:
    """Collects words: [STREAMING_WORD] announces, in the frame where they end, the words whose text follows it.

    A word ends with the frame of its [STREAMING_WORD]. It starts where the word before ended or at the last
    [STREAMING_PAD] before it, whichever is later: approximate.

    Args:
        tokenizer: Tells text from control tokens.
        frame_s: Seconds of one frame.
    """

    def __init__(self, tokenizer: Tokenizer, frame_s: float) -> None:
        self._tokenizer, self._frame_s = tokenizer, frame_s
        self._decoder = TextDecoder(tokenizer)
        self._words: list[Word] = []
        self._newest = _Newest(0, [], 0.0, 0.0)
        self._last_pad_s = 0.0

    def push(self, frame: int, token: int) -> None:
        """Take the token of text frame ``frame``."""
        newest = self._newest
        if token == self._tokenizer.word_id:
            newest.parts.append(self._decoder.finish())
            self._words += newest.words()
            start_s, end_s = max(newest.end_s, self._last_pad_s), self._frame_s * (frame + 1)
            self._newest = _Newest(len(self._words), [], start_s, end_s)
        elif token == self._tokenizer.pad_id:
            self._last_pad_s = self._frame_s * frame
        elif token >= self._tokenizer.n_special:
            if not newest.end_s:  # text that nothing announced
                self._newest = newest = newest._replace(end_s=self._frame_s * (frame + 1))
            newest.parts.append(self._decoder.push(token))

    def words(self, duration_s: float | None = None) -> list[Word]:
        """The words up to now, the one whose text may still grow included, clamped to the audio's length.

        Another thread may be in ``push``.
        """
        newest = self._newest
        words = self._words[: newest.n_before] + newest.words()
        if duration_s is None:
            return words
        return [Word(w.text, min(w.start_s, duration_s), min(w.end_s, duration_s)) for w in words]


class _Newest(NamedTuple):
    """What the newest [STREAMING_WORD] announced: replaced as a whole, so that a reader sees one state."""

    n_before: int  # words that are closed
    parts: list[str]
    start_s: float
    end_s: float

    def words(self) -> list[Word]:
        return [Word(text, self.start_s, self.end_s) for text in "".join(self.parts).split()]
