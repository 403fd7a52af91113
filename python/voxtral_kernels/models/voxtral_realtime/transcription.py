"""What a transcription holds beside its model's state: samples that become mel frames, tokens that become text."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ... import _check, _forked
from ...audio.mel import MelStream
from ...audio.mono import Resampler
from ...audio.samples import check_rate
from ...caches import check_bits
from ...tokenizer import TextDecoder, Tokenizer
from .. import chunk
from ..result import Passes, Result, Word
from .audio_state import AudioState
from .decoding import Decoding
from .drafts import Drafts
from .guard import Guard, Span
from .retry import Retries, redone
from .words import WordTracker

if TYPE_CHECKING:
    from .model import VoxtralRealtime
    from .stream import Stream

OP = "stream"


class StreamEvent(NamedTuple):
    """One decoded token.

    Attributes:
        text: The text that it completes; empty for control tokens and inside a UTF-8 character.
        token: Its id.
        position: Its absolute position in the decoder's sequence.
        start_s, end_s: The 80 ms of audio that it belongs to, in seconds.
    """

    text: str
    token: int
    position: int
    start_s: float
    end_s: float


class Transcription:
    """The base of `Stream` and `BatchStream`: their properties, and all of their state.

    Args:
        model, tokenizer, delay_ms, sample_rate, offset, cache_bits, drafts, retry_blanks, chunk_ms, exact: As for
            `Stream`.
        again: Makes a fresh stream of these options, for blanks.
        seated: False: it has no caches yet, whoever steps it gives it some.
    """

    def __init__(
        self,
        model: VoxtralRealtime,
        tokenizer: Tokenizer,
        delay_ms: float,
        *,
        sample_rate: float | None,
        offset: int,
        cache_bits: int,
        drafts: bool | None,
        retry_blanks: bool,
        chunk_ms: int,
        exact: bool,
        again: Callable[[], Stream],
        seated: bool = True,
    ) -> None:
        _forked.refuse(OP)
        cache_bits = check_bits(OP, "cache_bits", cache_bits)
        self._chunk = chunk.chunk_tokens(OP, "chunk_ms", chunk_ms)
        own_rate = model.config.sample_rate
        self._rate = own_rate if sample_rate is None else check_rate(OP, "sample_rate", sample_rate)
        self._resampler = Resampler(self._rate)
        self._model, self._tokenizer = model, tokenizer
        self._per_token = model.config.samples_per_token
        self._prompt = tokenizer.realtime_prompt(delay_ms)
        self._right_pad = tokenizer.audio.right_pad_tokens(delay_ms)
        new_audio = partial(model.new_audio_state, offset, cache_bits=cache_bits) if seated else AudioState
        self._audio = new_audio(lazy=True)
        self._decoding = Decoding(
            model,
            self._prompt,
            tokenizer.delay_tokens(delay_ms),
            offset=offset,
            cache_bits=cache_bits,
            drafts=None if drafts is False else Drafts(tokenizer.pad_id, tokenizer.word_id, tokenizer.n_special),
            always=drafts is True and not exact,
            caches=None if seated else [],
        )
        self._offset = offset
        self._mel = MelStream(model.mel_config)
        self._frames = [self._mel.feed(np.zeros(tokenizer.audio.left_pad_tokens * self._per_token, np.float32))]
        self._pieces = chunk.pieces(self._chunk, self._ready(), exact=exact)
        self._text = _Text(tokenizer)
        self._tracker = WordTracker(tokenizer, model.config.token_s)
        self._guard = Guard(tokenizer.pad_id, model.config.token_s)
        self._retries = Retries(own_rate) if retry_blanks else None
        self._again = again
        self._found: list[Word] = []  # words of blanks that were heard again
        self._n_fed, self._n_samples, self._finished = 0, 0, False  # fed at their rate; at 16 kHz
        self._ids = array("i")  # eight times smaller than a list of int objects

    @property
    def tokens(self) -> list[int]:
        """Every id generated up to now, control tokens included."""
        return self._ids.tolist()

    @property
    def text(self) -> str:
        """The text up to now; final after ``finish``."""
        return self._text.all

    @property
    def words(self) -> list[Word]:
        """The words up to now with their times."""
        words = self._tracker.words(self.duration_s if self._finished else None)
        return sorted([*words, *self._found], key=lambda word: word.end_s) if self._found else words

    @property
    def suspicious(self) -> list[Span]:
        """Start and end, in seconds, of blanks of ten seconds and more over audio that sounds like speech.

        A model whose numbers are slightly off can fall silent for minutes. What is transcribed does not change.
        """
        return list(self._guard.suspicious)

    @property
    def passes(self) -> Passes:
        """Readings of the decoder's weights up to now, and what drafts saved of them."""
        return self._decoding.passes

    @property
    def duration_s(self) -> float:
        """Seconds of audio fed."""
        return self._n_fed / self._rate

    @property
    def result(self) -> Result:
        """All of that up to now as one value; final after ``finish``."""
        words = self.words
        return Result(self.text, self.tokens, words, self.duration_s, passes=self.passes, suspicious=self.suspicious)

    def _take(self, samples: np.ndarray) -> None:
        """Samples at 16 kHz."""
        self._n_samples += len(samples)
        self._guard.hear(samples)
        if self._retries is not None:
            self._retries.hear(samples, self._guard.blank_since_s)
        self._frames.append(self._mel.feed(samples))

    def _take_end(self) -> None:
        """The audio is over: what is held back, and the silence in which the last word comes out."""
        self._take(self._resampler.finish())
        rest = -self._n_samples % self._per_token
        silence = np.zeros(rest + self._right_pad * self._per_token, np.float32)
        self._frames += [self._mel.feed(silence), self._mel.finish()]

    def _refuse_if_finished(self) -> None:
        if self._finished:
            raise _check.fail(OP, "feed", "a stream that is not finished", "one that is")

    def _ready(self) -> int:
        """Whole tokens of audio at hand."""
        return sum(map(len, self._frames)) // self._model.config.mel_per_token

    def _take_frames(self, ready: int) -> np.ndarray:
        """The mel frames of so many tokens."""
        end = ready * self._model.config.mel_per_token
        frames = np.concatenate(self._frames)
        self._frames = [frames[end:]]
        return frames[:end]

    def _event(self, value: int, position: int) -> StreamEvent:
        """Take over the token generated at ``position`` (from the start of the stream)."""
        frame = position + 1 - len(self._prompt)
        self._ids.append(value)
        self._tracker.push(frame, value)
        self._watch(frame, value)
        limit = self.duration_s if self._finished else float("inf")
        start, end = (min(limit, self._model.config.token_s * n) for n in (frame, frame + 1))
        return StreamEvent(self._text.push(value), value, self._offset + position, start, end)

    def _flushed(self, last: StreamEvent) -> StreamEvent:
        """The last event with the text that was still held; blanks are heard again."""
        if held := self._text.finish():
            last = last._replace(text=last.text + held)
        if self._retries is not None:
            self._retries.ended()
            if self._retries.blanks:
                self._text.all, self._found = redone(self._retries.blanks, self._again, self.text)
        return last

    def _watch(self, frame: int, token: int) -> None:
        guard, retries = self._guard, self._retries
        before = guard.suspicious[-1:]
        guard.push(frame, token)
        if retries is not None:
            if guard.suspicious[-1:] != before:
                retries.told(guard.suspicious[-1], len(self.text))
            elif guard.blank_since_s is None:
                retries.ended()


class _Text:
    """The text of the tokens, without the space before the first word."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._decoder = tokenizer, TextDecoder(tokenizer)
        self.all = ""

    def push(self, token: int) -> str:
        return self._append(self._decoder.push(token) if token >= self._tokenizer.n_special else "")

    def finish(self) -> str:
        return self._append(self._decoder.finish())

    def _append(self, text: str) -> str:
        text = text if self.all else text.lstrip()
        self.all += text
        return text
