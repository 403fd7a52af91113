"""A live transcription: samples in, text events out; offline transcription is one stream fed in large pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import mlx.core as mx
import numpy as np

from ... import _check, _forked
from ..._exclusive import Exclusive
from ...audio.mel import MelStream
from ...audio.mono import Resampler
from ...audio.samples import as_samples, check_rate
from ...caches import check_bits, evaluate
from ...tokenizer import TextDecoder, Tokenizer
from .. import chunk
from ..result import Passes, Word
from .decoding import Decoding
from .drafts import Drafts
from .guard import Guard, Span
from .retry import Retries, redone
from .words import WordTracker

if TYPE_CHECKING:
    from ...audio.types import Samples
    from .model import VoxtralRealtime

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


class Stream:
    """State of one transcription; made by ``model.stream``.

    Any thread may call it, one call at a time: a second call while one is inside raises RuntimeError and changes
    nothing. ``text``, ``words`` and ``tokens`` may be read at any time.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        delay_ms: How far the text runs behind the audio.
        sample_rate: Of the samples that are fed, in Hz; None for 16 kHz. Others are resampled as they come.
        offset: Absolute position of the first token.
        cache_bits: Of the keys and values held: 16 (the model's dtype) or 8.
        drafts: True: tokens are proposed and verified together; False: never; None: where the tokens are the same.
        retry_blanks: At the end, suspicious blanks are heard again by a fresh stream.
        chunk_ms: Audio taken at once at least.
        exact: The audio is always taken in the same pieces.
    """

    def __init__(
        self,
        model: VoxtralRealtime,
        tokenizer: Tokenizer,
        delay_ms: float,
        *,
        sample_rate: float | None = None,
        offset: int = 0,
        cache_bits: int = 16,
        drafts: bool | None = None,
        retry_blanks: bool = False,
        chunk_ms: int = 80,
        exact: bool = False,
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
        self._audio = model.new_audio_state(offset, cache_bits=cache_bits, lazy=True)
        self._decoding = Decoding(
            model,
            self._prompt,
            tokenizer.delay_tokens(delay_ms),
            offset=offset,
            cache_bits=cache_bits,
            drafts=None if drafts is False else Drafts(tokenizer.pad_id, tokenizer.word_id),
            always=drafts is True and not exact,
        )
        self._offset = offset
        self._mel = MelStream(model.mel_config)
        left_pad = tokenizer.audio.left_pad_tokens * self._per_token
        self._frames = [self._mel.feed(np.zeros(left_pad, np.float32))]
        self._pieces = chunk.pieces(self._chunk, self._ready(), exact=exact)
        self._text = _Text(tokenizer)
        self._tracker = WordTracker(tokenizer, model.config.token_s)
        self._guard = Guard(tokenizer.pad_id, model.config.token_s)
        self._retries = Retries(own_rate) if retry_blanks else None
        options: Any = {"cache_bits": cache_bits, "drafts": drafts, "chunk_ms": chunk_ms, "exact": exact}
        self._again = lambda: Stream(model, tokenizer, delay_ms, **options)
        self._found: list[Word] = []  # words of blanks that were heard again
        self._n_fed, self._n_samples, self._finished = 0, 0, False  # fed at their rate; at 16 kHz
        self._inside = Exclusive(OP)
        self.tokens: list[int] = []

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

    def feed(self, samples: Samples) -> list[StreamEvent]:
        """Take any number of samples.

        Args:
            samples: ``[T]`` at the stream's ``sample_rate``, float in [-1, 1] or int16.

        Returns:
            An event for each token decoded by them.

        Raises:
            ValueError: samples that are not one-dimensional or not finite (the stream is unchanged then); or the
                stream was finished.
            RuntimeError: another call is inside the stream (which is unchanged then).
        """
        return [event for events in self.pieces(samples) for event in events]

    def pieces(self, samples: Samples) -> Iterator[list[StreamEvent]]:
        """As ``feed``, the events of one bounded piece of the samples after another."""
        self._refuse_if_finished()
        samples = as_samples(samples, op=OP, argument="samples")
        step = round(chunk.PIECE * self._model.config.token_s * self._rate)
        return (self._feed(samples[i : i + step]) for i in range(0, len(samples), step))

    def finish(self) -> list[StreamEvent]:
        """Pads the end so that the last word comes out, and flushes; a second call does nothing."""
        with self._inside:
            if self._finished:
                return []
            self._finished = True
            self._take(self._resampler.finish())
            rest = -self._n_samples % self._per_token
            silence = np.zeros(rest + self._right_pad * self._per_token, np.float32)
            self._frames += [self._mel.feed(silence), self._mel.finish()]
            events = self._run()
            if held := self._text.finish():
                events[-1] = events[-1]._replace(text=events[-1].text + held)
            self._redo()
            return events

    def _feed(self, samples: np.ndarray) -> list[StreamEvent]:
        with self._inside:
            _forked.refuse(OP)
            self._refuse_if_finished()
            self._n_fed += len(samples)
            self._take(self._resampler.push(samples))
            return self._run()

    def _take(self, samples: np.ndarray) -> None:
        """Samples at 16 kHz."""
        self._n_samples += len(samples)
        self._guard.hear(samples)
        if self._retries is not None:
            self._retries.hear(samples, self._guard.blank_since_s)
        self._frames.append(self._mel.feed(samples))

    def _refuse_if_finished(self) -> None:
        if self._finished:
            raise _check.fail(OP, "feed", "a stream that is not finished", "one that is")

    def _ready(self) -> int:
        """Whole tokens of audio at hand."""
        return sum(map(len, self._frames)) // self._model.config.mel_per_token

    def _run(self) -> list[StreamEvent]:
        """Everything that the mel frames at hand allow, in whole tokens; leaves nothing uncomputed."""
        per_token, ready = self._model.config.mel_per_token, self._ready()
        if not self._finished:
            ready -= ready % self._chunk
        events: list[StreamEvent] = []
        if ready:
            frames, end = np.concatenate(self._frames), 0
            while end < ready:
                start, end = end, min(end + next(self._pieces), ready)
                piece = frames[start * per_token : end * per_token]
                audio = self._model.embed_audio(mx.array(piece)[None], self._audio)
                events += [self._event(*told) for told in self._decoding.decode(audio)]
            self._frames = [frames[ready * per_token :]]
            # MLX's streams belong to a thread, and the next call may come from another.
            evaluate([*self._audio.caches, *self._decoding.caches], self._audio.stem, self._decoding.last)
        return events

    def _event(self, value: int, position: int) -> StreamEvent:
        """Take over the token generated at ``position`` (from the start of the stream)."""
        frame = position + 1 - len(self._prompt)
        self.tokens.append(value)
        self._tracker.push(frame, value)
        self._watch(frame, value)
        limit = self.duration_s if self._finished else float("inf")
        start, end = (min(limit, self._model.config.token_s * n) for n in (frame, frame + 1))
        return StreamEvent(self._text.push(value), value, self._offset + position, start, end)

    def _watch(self, frame: int, token: int) -> None:
        guard, retries = self._guard, self._retries
        before = guard.suspicious[-1:]
        guard.push(frame, token)
        if retries is not None:
            if guard.suspicious[-1:] != before:
                retries.told(guard.suspicious[-1], len(self.text))
            elif guard.blank_since_s is None:
                retries.ended()

    def _redo(self) -> None:
        if self._retries is not None:
            self._retries.ended()
            if self._retries.blanks:
                self._text.all, self._found = redone(self._retries.blanks, self._again, self.text)


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
