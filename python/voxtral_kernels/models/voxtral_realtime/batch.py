"""Many live transcriptions on one reading of the weights: a step takes one token from every stream that has audio."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from ... import _check, _forked
from ...caches import check_bits, evaluate
from ..section import REALTIME
from .batch_stream import OP, BatchStream
from .rows import Piece, Rows
from .slots import Slots, check_fits

if TYPE_CHECKING:
    from .model import VoxtralRealtime

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
        cache_bits: Of streams that ask for nothing else, as for ``model.stream``.
        longest_s: Seconds of audio of a stream, which slots are counted by; None: any length.

    Raises:
        ValueError: an argument differs from the above; or this machine has not the memory for so many streams of
            that length.
    """

    def __init__(
        self, model: VoxtralRealtime, slots: int = 8, *, cache_bits: int = 16, longest_s: float | None = None
    ) -> None:
        family = getattr(model, "family", None)
        if family != REALTIME:
            raise _check.fail(OP, "model", f"one of {REALTIME}", str(family or type(model).__name__))
        if model.ranks is not None:
            expected = "one in one process: which streams share a step depends on the time"
            raise _check.fail(OP, "model", expected, f"one over {model.ranks.size} ranks")
        self.model, self.slots = model, _check.integer(OP, "slots", slots, 1)
        self.cache_bits = check_bits(OP, "cache_bits", cache_bits)
        longest_s = None if longest_s is None else _check.positive(OP, "longest_s", longest_s)
        check_fits(OP, model, self.slots, self.cache_bits, longest_s)
        self._rows, self._slots = Rows(model), Slots(model)
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
        cache_bits: int | None = None,
        retry_blanks: bool = False,
        exact: bool = True,
    ) -> BatchStream:
        """A new stream, from the next step on.

        Args:
            delay_ms, sample_rate, chunk_ms, retry_blanks: As for ``model.stream``.
            cache_bits: The same; None: the batch's. Not more than those: its slots are counted by them.
            block: What to do where every slot has its stream: False, refuse; True, wait until another thread's step
                or ``close`` ends one; a number, wait so many seconds at most.
            exact: False: for recordings. Audio is taken in pieces as large as they come, as ``model.transcribe`` does:
                less work, and live streams beside it wait for a piece meanwhile.

        Raises:
            ValueError: as ``model.stream``; or the batch was closed.
            BatchFull: no slot is free.
        """
        bits = self.cache_bits if cache_bits is None else check_bits(OP, "cache_bits", cache_bits)
        if bits > self.cache_bits:
            raise _check.fail(OP, "cache_bits", f"at most {self.cache_bits}, as the batch counts its slots", bits)
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
                cache_bits=bits,
                retry_blanks=retry_blanks,
                chunk_ms=chunk_ms,
                exact=exact,
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
            self._free_slots()  # of those that left before: so no more are taken than there are
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
            return self._changed.wait_for(
                lambda: self._closed or any(stream._may_step() for stream in self._open), timeout
            )

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
                self._free_slots()
            finally:
                self._stepping.release()

    def _free_slots(self) -> None:
        while self._gone:
            self._gone.pop()._release()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise _check.fail(OP, "stream", "a batch that is not closed", "one that is")

    def _embed(self, streams: list[BatchStream]) -> None:
        ready: list[tuple[BatchStream, Piece]] = []
        for stream in streams:
            with _ends_with_an_error(stream):
                if not stream._done and (piece := stream._piece()) is not None:
                    ready.append((stream, piece))
        # Those that bring equally much, in rings of one kind, are attended in one call.
        ready.sort(key=lambda item: (item[0]._bits, len(item[1].mel)))
        with _ends_with_an_error(*(stream for stream, _ in ready)):
            for (stream, _), audio in zip(ready, self._rows.embed([p for _, p in ready]), strict=True):
                stream._embedded = [audio[:, i : i + 1] for i in range(audio.shape[1])]

    def _decode(self, streams: list[BatchStream]) -> int:
        turns = [(stream, turn) for stream in streams if not stream._done and (turn := stream._turn()) is not None]
        turns.sort(key=lambda item: (item[0]._bits, len(item[1].ids)))
        said: list[int | None] = []
        with _ends_with_an_error(*(stream for stream, _ in turns)):
            said = self._rows.said([turn for _, turn in turns])
            # MLX's streams belong to a thread, and the next step may be made by another. A ring holds all streams: also
            # what one wrote that left meanwhile.
            caches = [c for s in streams for c in (*s._audio.caches, *s._decoding.caches)]
            evaluate(caches, [s._audio.stem for s in streams], [s._embedded for s in streams])
        for (stream, turn), token in zip(turns, said, strict=False):
            with _ends_with_an_error(stream):
                stream._advance(turn, token)
        return len(turns)


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
