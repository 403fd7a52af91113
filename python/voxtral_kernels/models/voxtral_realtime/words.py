"""Words and their times out of the token stream."""

from __future__ import annotations

from array import array
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
        self._closed = _Closed()
        self._newest = _Newest(0, [], 0.0, 0.0)
        self._last_pad_s = 0.0

    def push(self, frame: int, token: int) -> None:
        """Take the token of text frame ``frame``."""
        newest = self._newest
        if token == self._tokenizer.word_id:
            newest.parts.append(self._decoder.finish())
            self._closed.add(newest.words())
            start_s, end_s = max(newest.end_s, self._last_pad_s), self._frame_s * (frame + 1)
            self._newest = _Newest(len(self._closed), [], start_s, end_s)
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
        words = self._closed.first(newest.n_before) + newest.words()
        if duration_s is None:
            return words
        return [Word(w.text, min(w.start_s, duration_s), min(w.end_s, duration_s)) for w in words]


class _Closed:
    """Words that are over, 20 bytes and the text each: a stream may run for days, and a `Word` takes some 170."""

    def __init__(self) -> None:
        self._texts, self._ends, self._times = bytearray(), array("I"), array("d")

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, words: list[Word]) -> None:
        for word in words:
            self._texts += word.text.encode()
            self._times.extend((word.start_s, word.end_s))
            self._ends.append(len(self._texts))

    def first(self, n: int) -> list[Word]:
        """The first ``n``; more of them may be added meanwhile."""
        ends, times = self._ends[:n], self._times[: 2 * n]
        texts = (self._texts[start:end].decode() for start, end in zip([0, *ends], ends, strict=False))
        return list(map(Word, texts, times[::2], times[1::2]))


class _Newest(NamedTuple):
    """What the newest [STREAMING_WORD] announced: replaced as a whole, so that a reader sees one state."""

    n_before: int  # words that are closed
    parts: list[str]
    start_s: float
    end_s: float

    def words(self) -> list[Word]:
        return [Word(text, self.start_s, self.end_s) for text in "".join(self.parts).split()]
