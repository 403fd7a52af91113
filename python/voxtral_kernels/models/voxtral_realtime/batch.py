"""Many live transcriptions on one reading of the weights: a step takes one token from every stream that has audio."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from statistics import median
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

import mlx.core as mx
import numpy as np

from ... import _check, _forked
from ...audio.samples import as_samples
from ...caches import evaluate
from .. import chunk
from ..section import REALTIME
from .audio_state import AudioState
from .rows import Piece, Rows, Turn
from .transcription import StreamEvent, Transcription

if TYPE_CHECKING:
    from ...audio.types import Samples
    from ...tokenizer import Tokenizer
    from .model import VoxtralRealtime
    from .stream import Stream

OP = "batch"
# Newest steps whose times count.
_TIMES = 128


class BatchFull(RuntimeError):  # noqa: N818 - as queue.Full
    """Every slot of a `Batch` has its stream."""


class BatchStats(NamedTuple):
    """Where a `Batch` stands.

    Attributes:
        streams, slots: Open streams, and how many there may be.
        steps, rows: Steps that took something, and positions of streams that they took, since the start.
        step_ms: Median time of the newest steps.
        backlog_s: Audio that was fed and not heard yet, of all streams.
        longest_backlog_s: That of the stream that is furthest behind.
    """

    streams: int
    slots: int
    steps: int
    rows: int
    step_ms: float
    backlog_s: float
    longest_backlog_s: float


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
    ) -> None:
        def again() -> Stream:
            return model.stream(delay_ms, cache_bits=cache_bits, chunk_ms=chunk_ms, drafts=False, exact=True)

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
            exact=True,
            again=again,
        )
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
        """Whoever keeps the stream for its text keeps no keys and values."""
        self._audio, self._embedded = AudioState(), []
        self._decoding.caches, self._decoding.scales = [], []

    # What a step does, on its thread.

    def _piece(self) -> Piece | None:
        """The audio to embed next, if there is enough of it and none waits."""
        if self._embedded:
            return None
        needs = self._chunk
        while self._ready() < needs and self._take_given():
            pass
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
        ids = self._decoding.known(min(len(self._embedded), chunk.START))
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


class Batch:
    """Live transcriptions that share each reading of the model's weights.

    ::

        with vk.Batch(model, slots=8) as batch:
            streams = [batch.stream() for _ in range(8)]
            while ...:
                for stream, samples in zip(streams, microphones):
                    for event in stream.feed(samples):
                        print(event.text, end="")
                while batch.step():
                    pass

    The tokens of a stream are those of ``model.stream(exact=True)``, bit for bit where kernels of few rows serve: they
    depend neither on the other streams nor on when they joined or left. Streams join and leave between two steps.

    Any thread may call it; steps are made one at a time.

    Args:
        model: A realtime model.
        slots: Streams at once at most, >= 1.

    Raises:
        ValueError: an argument differs from the above.
    """

    def __init__(self, model: VoxtralRealtime, slots: int = 8) -> None:
        family = getattr(model, "family", None)
        if family != REALTIME:
            raise _check.fail(OP, "model", f"one of {REALTIME}", str(family or type(model).__name__))
        self.model, self.slots = model, _check.integer(OP, "slots", slots, 1)
        self._rows = Rows(model)
        self._open: list[BatchStream] = []
        self._reserved, self._closed = 0, False
        # Guards what threads share; held for moments only. `_stepping` is held for a step.
        self._changed = threading.Condition(threading.RLock())
        self._stepping = threading.Lock()
        self._gone: list[BatchStream] = []  # left, and a step may still work on them
        self._steps = self._n_rows = 0
        self._times: deque[float] = deque(maxlen=_TIMES)

    @property
    def streams(self) -> list[BatchStream]:
        """The open ones."""
        with self._changed:
            return list(self._open)

    def stream(
        self,
        delay_ms: float = 480,
        *,
        sample_rate: float | None = None,
        block: bool | float = False,
        chunk_ms: int = 80,
        cache_bits: int = 16,
        retry_blanks: bool = False,
    ) -> BatchStream:
        """A new stream, from the next step on.

        Args:
            delay_ms, sample_rate, chunk_ms, cache_bits, retry_blanks: As for ``model.stream``.
            block: What to do where every slot has its stream: False, refuse; True, wait until another thread's step
                or ``close`` ends one; a number, wait so many seconds at most.

        Raises:
            ValueError: as ``model.stream``; or the batch was closed.
            BatchFull: no slot is free.
        """
        wait = None if block is True else 0.0 if block is False else _check.positive(OP, "block", block, or_zero=True)
        with self._changed:
            self._refuse_if_closed()
            if not self._changed.wait_for(lambda: self._closed or self._free() > 0, wait):
                raise BatchFull(
                    f"[{OP}] slots: expected one of {self.slots} that is free, got none: a stream must finish or be "
                    "closed, block=True waits for that."
                )
            self._refuse_if_closed()
            self._reserved += 1
        stream = None
        try:
            stream = BatchStream(
                self,
                self.model._tokenizer(),
                delay_ms,
                sample_rate=sample_rate,
                cache_bits=cache_bits,
                retry_blanks=retry_blanks,
                chunk_ms=chunk_ms,
            )
        finally:
            with self._changed:
                self._reserved -= 1
                if stream is None:
                    self._changed.notify_all()
                elif self._closed:
                    stream._done = True
                else:
                    self._open.append(stream)
        self._refuse_if_closed()
        return stream

    def step(self) -> int:
        """Take one token from every stream that has audio for it; of a stream's beginning, a few.

        Returns:
            How many streams it took something from; 0: there is nothing to do.
        """
        with self._stepping:
            _forked.refuse(OP)
            start = time.perf_counter()
            streams = self.streams
            self._embed(streams)
            rows = self._decode(streams)
            if rows:
                self._steps, self._n_rows = self._steps + 1, self._n_rows + rows
                self._times.append(time.perf_counter() - start)
        self._release()
        return rows

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for audio, or for the end of a stream.

        Args:
            timeout: Seconds at most; None: without a limit.

        Returns:
            Whether a step may have something to do.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or any(map(_may_step, self._open)), timeout)

    def stats(self) -> BatchStats:
        """Where it stands now."""
        with self._changed:
            behind = [stream.backlog_s for stream in self._open]
            step_ms = 1e3 * median(self._times) if self._times else 0.0
            n = len(self._open)
            return BatchStats(n, self.slots, self._steps, self._n_rows, step_ms, sum(behind), max(behind, default=0.0))

    def close(self) -> None:
        """Close every stream; may be called again."""
        with self._changed:
            self._closed = True
            for stream in list(self._open):
                stream._leave()
            self._changed.notify_all()
        self._release()

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _free(self) -> int:
        return self.slots - len(self._open) - self._reserved

    def _left(self, stream: BatchStream) -> None:
        with contextlib.suppress(ValueError):
            self._open.remove(stream)
        self._gone.append(stream)
        self._changed.notify_all()

    def _release(self) -> None:
        """Free what left; where a step is under way, it does so behind it."""
        if self._stepping.acquire(blocking=False):
            try:
                while self._gone:
                    self._gone.pop()._release()
            finally:
                self._stepping.release()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise _check.fail(OP, "stream", "a batch that is not closed", "one that is")

    def _embed(self, streams: list[BatchStream]) -> None:
        ready: list[tuple[BatchStream, Piece]] = []
        for stream in streams:
            with _ends_with_an_error(stream):
                if not stream._done and (piece := stream._piece()) is not None:
                    ready.append((stream, piece))
        with _ends_with_an_error(*(stream for stream, _ in ready)):
            for (stream, _), audio in zip(ready, self._rows.embed([p for _, p in ready]), strict=True):
                stream._embedded = [audio[:, i : i + 1] for i in range(audio.shape[1])]

    def _decode(self, streams: list[BatchStream]) -> int:
        turns = [(stream, turn) for stream in streams if not stream._done and (turn := stream._turn()) is not None]
        said: list[int | None] = []
        with _ends_with_an_error(*(stream for stream, _ in turns)):
            said = self._rows.said([turn for _, turn in turns])
            # MLX's streams belong to a thread, and the next step may be made by another.
            caches = [c for s, _ in turns for c in (*s._audio.caches, *s._decoding.caches)]
            evaluate(caches, [s._audio.stem for s, _ in turns], [s._embedded for s, _ in turns])
        for (stream, turn), token in zip(turns, said, strict=False):
            with _ends_with_an_error(stream):
                stream._advance(turn, token)
        return len(turns)


def _may_step(stream: BatchStream) -> bool:
    return bool(stream._given or stream._embedded) or stream._ended or stream._ready() >= stream._chunk


@contextlib.contextmanager
def _ends_with_an_error(*streams: BatchStream) -> Iterator[None]:
    """What goes wrong inside ends these streams, and no other: nobody knows where their caches stand."""
    try:
        yield
    except BaseException as error:
        for stream in streams:
            with stream._changed:
                stream._leave(error)
        if not isinstance(error, Exception):
            raise
