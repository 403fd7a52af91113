"""One stream of a batch: samples are handed over, steps that several streams share decode them."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING

import mlx.core as mx
import numpy as np

from ... import _check
from ...audio.samples import as_samples
from .. import chunk
from .audio_state import AudioState
from .rows import Piece, Turn
from .slots import give_back
from .transcription import StreamEvent, Transcription

if TYPE_CHECKING:
    from ...audio.types import Samples
    from ...tokenizer import Tokenizer
    from .batch import Batch
    from .stream import Stream

OP = "batch"


class BatchStream(Transcription):
    """One stream of a `Batch`, made by ``batch.stream``: `Stream`, but for who does the work.

    ``feed`` only hands samples over; what comes of them, the batch's steps decode, and the next call of ``feed``,
    ``read`` or ``finish`` gives it back. Any thread may call it, also while another is in a step. ``with`` finishes the
    stream at its end, unless an exception leaves it, and closes it.
    """

    def __init__(
        self,
        batch: Batch,
        tokenizer: Tokenizer,
        delay_ms: float,
        *,
        sample_rate: float | None,
        cache_bits: int,
        retry_blanks: bool,
        chunk_ms: int,
        exact: bool,
    ) -> None:
        def again() -> Stream:
            return model.stream(delay_ms, cache_bits=cache_bits, chunk_ms=chunk_ms, drafts=False, exact=exact)

        model = batch.model
        super().__init__(
            model,
            tokenizer,
            delay_ms,
            sample_rate=sample_rate,
            offset=0,
            cache_bits=cache_bits,
            drafts=False,
            retry_blanks=retry_blanks,
            chunk_ms=chunk_ms,
            exact=exact,
            again=again,
            seated=False,
        )
        self._bits = cache_bits
        self._exact = exact
        self._batch, self._changed = batch, batch._changed
        self._given: deque[np.ndarray] = deque()  # handed over, not taken yet
        self._n_given, self._ended, self._done, self._complete = 0, False, False, False
        self._embedded: list[mx.array] = []  # audio embeddings of tokens to come, [1, 1, D] each
        self._unread: list[StreamEvent] = []
        self.error: BaseException | None = None

    @property
    def done(self) -> bool:
        """Nothing more will come: finished, closed, or failed."""
        return self._done

    @property
    def duration_s(self) -> float:
        """Seconds of audio fed."""
        return (self._n_fed + self._n_given) / self._rate

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that were fed, and that no step has heard yet."""
        token_s = self._model.config.token_s
        heard_s = (self._decoding.position - self._tokenizer.audio.left_pad_tokens) * token_s
        return 0.0 if self._done else max(0.0, self.duration_s - max(0.0, heard_s))

    def feed(self, samples: Samples) -> list[StreamEvent]:
        """Hand any number of samples over.

        Args:
            samples: ``[T]`` at the stream's ``sample_rate``, float in [-1, 1] or int16.

        Returns:
            The events that steps have decoded since they were last given back.

        Raises:
            ValueError: samples that are not one-dimensional or not finite (the stream is unchanged then); or the
                stream was finished or closed.
            BaseException: what ended the stream.
        """
        self._give(samples)
        return self._take_unread()

    def read(self) -> list[StreamEvent]:
        """The events that steps have decoded since they were last given back.

        Raises:
            BaseException: what ended the stream, once all events were given back.
        """
        if not self._unread:
            self._raise_error()
        return self._take_unread()

    def end(self) -> None:
        """No more samples come: the steps to come hear what there is to its last word. May be called again."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def finish(self) -> list[StreamEvent]:
        """`end`, then steps of the batch until everything is decoded; a second call does nothing.

        Returns:
            The events that were not given back yet.

        Raises:
            ValueError: the stream was closed before.
            BaseException: what ended the stream.
        """
        self.end()
        while not self._done:
            self._batch.step()
        self._refuse_if_cut()
        return self._take_unread()

    def close(self) -> None:
        """Leave the batch at once, whatever is not heard yet; may be called again. The slot is free for another."""
        with self._changed:
            self._leave()
        self._batch._release()

    def __enter__(self) -> BatchStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.close()

    def _give(self, samples: Samples) -> None:
        samples = np.array(as_samples(samples, op=OP, argument="samples"))
        with self._changed:
            self._raise_error()
            self._refuse_if_ended()
            if len(samples):
                self._given.append(samples)
                self._n_given += len(samples)
                self._changed.notify_all()

    def _refuse_if_ended(self) -> None:
        if self._ended or self._done:
            raise _check.fail(OP, "feed", "a stream that is not finished or closed", "one that is")

    def _refuse_if_cut(self) -> None:
        """The stream is done: it must be to its last word."""
        self._raise_error()
        if not self._complete:
            raise _check.fail(OP, "finish", "a stream that is not closed", "one that is")

    def _raise_error(self) -> None:
        if self.error is not None:
            raise self.error

    def _take_unread(self) -> list[StreamEvent]:
        with self._changed:
            found, self._unread = self._unread, []
        return found

    def _leave(self, error: BaseException | None = None, *, complete: bool = False) -> None:
        if not self._done:
            self._done, self._complete, self.error = True, complete, error
            self._given.clear()
            self._batch._left(self)

    def _release(self) -> None:
        """Whoever keeps the stream for its text keeps no keys and values; its slot is another's."""
        give_back([*self._audio.caches, *self._decoding.caches])
        self._audio, self._embedded = AudioState(), []
        self._decoding.caches, self._decoding.scales = [], []

    # What a step does, on its thread.

    def _may_step(self) -> bool:
        return bool(self._given or self._embedded) or self._ended or self._ready() >= self._chunk

    def _piece(self) -> Piece | None:
        """The audio to embed next, if there is enough of it and none waits."""
        if not self._audio.caches:
            self._audio.caches, self._decoding.caches = self._batch._slots.take(self._bits)
        if self._embedded:
            return None
        if self._exact:
            while self._ready() < self._chunk and self._take_given():
                pass
        else:
            self._take_given()
        ready = self._ready()
        if not self._finished:
            ready -= ready % self._chunk
        if not ready:
            return None
        frames = self._take_frames(min(next(self._pieces), ready))
        return Piece(frames, self._audio)

    def _take_given(self) -> bool:
        """Turn some of what was handed over into mel frames; False: there is nothing."""
        with self._changed:
            samples = self._given.popleft() if self._given else None
            if samples is not None:
                most = round(chunk.PIECE * self._model.config.token_s * self._rate)
                if len(samples) > most:
                    self._given.appendleft(samples[most:])
                    samples = samples[:most]
                self._n_given -= len(samples)
                self._n_fed += len(samples)
            elif not self._ended or self._finished:
                return False
            else:
                self._finished = True
        if samples is None:
            self._take_end()
        else:
            self._take(self._resampler.push(samples))
        return True

    def _turn(self) -> Turn | None:
        """The positions to decode next."""
        if not self._embedded:
            return None
        ids = self._decoding.known(min(len(self._embedded), chunk.START if self._exact else chunk.PIECE))
        audio = self._embedded[: len(ids)]
        del self._embedded[: len(ids)]
        return Turn(ids, audio[0] if len(audio) == 1 else mx.concatenate(audio, axis=1), self._decoding)

    def _advance(self, turn: Turn, said: int | None) -> None:
        told = self._decoding.advance(len(turn.ids), said)
        event = None if told is None else self._event(*told)
        last = self._finished and not self._embedded and not self._ready()
        if last and event is not None:
            event = self._flushed(event)
        with self._changed:
            if event is not None and not self._done:
                self._unread.append(event)
            if last:
                self._leave(complete=True)
