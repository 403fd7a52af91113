"""Words and their times out of the token stream."""

from __future__ import annotations

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
        self._parts: list[str] = []
        self._start_s = self._end_s = 0.0
        self._last_pad_s = 0.0

    def push(self, frame: int, token: int) -> None:
        """Take the token of text frame ``frame``."""
        if token == self._tokenizer.word_id:
            self._close()
            self._start_s, self._end_s = max(self._end_s, self._last_pad_s), self._frame_s * (frame + 1)
        elif token == self._tokenizer.pad_id:
            self._last_pad_s = self._frame_s * frame
        elif token >= self._tokenizer.n_special:
            if not self._end_s:  # text that nothing announced
                self._end_s = self._frame_s * (frame + 1)
            self._parts.append(self._decoder.push(token))

    def words(self, duration_s: float | None = None) -> list[Word]:
        """The words up to now, the one whose text may still grow included, clamped to the audio's length."""
        words = self._words + self._open()
        if duration_s is None:
            return words
        return [Word(w.text, min(w.start_s, duration_s), min(w.end_s, duration_s)) for w in words]

    def _close(self) -> None:
        self._parts.append(self._decoder.finish())
        self._words += self._open()
        self._parts = []

    def _open(self) -> list[Word]:
        return [Word(text, self._start_s, self._end_s) for text in "".join(self._parts).split()]
