"""A `Batch` for asyncio: its streams' names awaitable, one worker thread makes the steps."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import weakref
from collections import deque
from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ... import _check
from ..result import Result, Word
from .async_stream import Events
from .batch import OP, Batch, BatchFull, BatchStats, BatchStream
from .transcription import StreamEvent

if TYPE_CHECKING:
    from ...audio.types import Samples
    from .model import VoxtralRealtime


class AsyncBatch:
    """`Batch` for asyncio::

        async with vk.AsyncBatch(model, slots=8) as batch:
            async with batch.stream() as stream:
                async for event in stream:  # while another task awaits stream.feed(...) and stream.finish()
                    print(event.text, end="")

    One worker thread steps as long as some stream has audio, so that the event loop never waits for the model.

    Args:
        model, slots: As for `Batch`.

    Raises:
        ValueError: as `Batch`.
    """

    def __init__(self, model: VoxtralRealtime, slots: int = 8) -> None:
        self._batch = batch = _Shared(model, slots)
        # The caller's `use_backend` counts in the worker too.
        run = contextvars.copy_context().run
        self._worker = threading.Thread(target=run, args=(_work, batch), name="voxtral-kernels-batch", daemon=True)
        self._worker.start()
        self._stop = weakref.finalize(self, _stop, batch, self._worker)

    @property
    def slots(self) -> int:
        """Streams at once at most."""
        return self._batch.slots

    @property
    def streams(self) -> list[AsyncBatchStream]:
        """The open ones."""
        with self._batch._changed:
            return [stream for stream in self._batch.members if stream.is_open]

    def stats(self) -> BatchStats:
        """`Batch.stats`."""
        return self._batch.stats()

    def stream(
        self,
        delay_ms: float = 480,
        *,
        sample_rate: float | None = None,
        block: bool | float = False,
        chunk_ms: int = 80,
        cache_bits: int = 16,
        retry_blanks: bool = False,
        backlog_s: float = 5.0,
    ) -> AsyncBatchStream:
        """A new stream, open once it was awaited or entered by ``async with``: only then its arguments are looked at.

        Args:
            delay_ms, sample_rate, block, chunk_ms, cache_bits, retry_blanks: As for `Batch.stream`; those who wait are
                served in their order.
            backlog_s: ``feed`` waits while more audio than this was fed and not heard, in seconds.

        Raises:
            ValueError, BatchFull: once open, as `Batch.stream`.
        """
        options: dict[str, Any] = {
            "delay_ms": delay_ms,
            "sample_rate": sample_rate,
            "chunk_ms": chunk_ms,
            "cache_bits": cache_bits,
            "retry_blanks": retry_blanks,
        }
        return AsyncBatchStream(self, block, backlog_s, options)

    async def aclose(self) -> None:
        """Close every stream and end the worker, once it is done with its step; may be called again."""
        self._batch.close()
        await asyncio.to_thread(self._stop)

    async def __aenter__(self) -> AsyncBatch:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class AsyncBatchStream:
    """One stream of an `AsyncBatch`, made by ``batch.stream``: the names of `AsyncStream`.

    ``async with`` finishes the stream at its end, unless an exception leaves it (a client that is gone, say), and gives
    its slot back.
    """

    def __init__(self, batch: AsyncBatch, block: bool | float, backlog_s: float, options: dict[str, Any]) -> None:
        self._owner, self._batch = batch, batch._batch
        self._block, self._backlog_s, self._options = block, backlog_s, options
        self._stream: BatchStream | None = None
        self._iterations: weakref.WeakSet[Events] = weakref.WeakSet()
        self._moved = asyncio.Event()  # a step was made, or it is over
        self._unread: list[StreamEvent] = []
        self._ended = False

    @property
    def is_open(self) -> bool:
        """It has a slot."""
        return self._stream is not None and not self._stream.done

    @property
    def text(self) -> str:
        """The text up to now; final after ``finish``."""
        return self._opened("text").text

    @property
    def words(self) -> list[Word]:
        """The words up to now with their times."""
        return self._opened("words").words

    @property
    def tokens(self) -> list[int]:
        """Every id up to now, [STREAMING_PAD] included."""
        return self._opened("tokens").tokens

    @property
    def duration_s(self) -> float:
        """Seconds of audio fed."""
        return self._opened("duration_s").duration_s

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that were fed and not heard yet."""
        return self._opened("backlog_s").backlog_s

    @property
    def result(self) -> Result:
        """All of that up to now as one value; final after ``finish``."""
        return self._opened("result").result

    async def feed(self, samples: Samples) -> list[StreamEvent]:
        """Hand samples over; waits while the stream's backlog is above its limit.

        Cancelling takes nothing back: the samples are heard.

        Returns:
            The events since ``feed`` last gave some; iterations get them as they are decoded.

        Raises:
            ValueError: as `BatchStream.feed`; or the stream is not open.
            BaseException: what ended the stream.
        """
        stream = self._opened("feed")
        stream._give(samples)
        while stream.backlog_s > self._backlog_s and not self._ended:
            self._moved.clear()
            await self._moved.wait()
        stream._raise_error()
        return self._take_unread()

    async def finish(self) -> list[StreamEvent]:
        """The rest to the last word; iterations end behind it. A second call does nothing.

        Raises:
            ValueError: the stream was never open, or closed before.
            BaseException: what ended the stream.
        """
        stream = self._opened("finish")
        stream.end()
        while not self._ended:
            self._moved.clear()
            await self._moved.wait()
        stream._refuse_if_cut()
        return self._take_unread()

    async def aclose(self) -> None:
        """Give the slot back at once and end iterations, whatever is not heard yet; may be called again."""
        if self._stream is not None:
            self._stream.close()
        self._end()

    def __await__(self) -> Generator[Any, None, AsyncBatchStream]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncBatchStream:
        return self if self._stream is not None else await self._open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            if kind is None and self.is_open:
                await self.finish()
        finally:
            await self.aclose()

    def __aiter__(self) -> Events:
        """Every event from here on, to the end; begin before the first ``feed`` to have them all."""
        events = Events()
        self._iterations.add(events)
        if self._ended:
            events.end(self._stream.error if self._stream else None)
        return events

    async def _open(self) -> AsyncBatchStream:
        if self._stream is not None:
            raise _check.fail(OP, "stream", "one that was not opened", "one that was")
        self._loop = asyncio.get_running_loop()
        self._stream = stream = await self._batch.opened(self._block, self._options)
        with self._batch._changed:
            self._batch.members.add(self)
        weakref.finalize(self, stream.close).atexit = False
        return self

    def _opened(self, name: str) -> BatchStream:
        if self._stream is None:
            raise _check.fail(OP, name, "a stream that is open (await it, or async with)", "one that is not")
        return self._stream

    def _take_unread(self) -> list[StreamEvent]:
        found, self._unread = self._unread, []
        return found

    def _deliver(self) -> None:
        """On the worker, behind a step."""
        stream = self._stream
        assert stream is not None
        events, done = stream._take_unread(), stream.done
        try:
            self._loop.call_soon_threadsafe(self._publish, events, done)
        except RuntimeError:  # the loop was closed: nobody will hear of it
            stream.close()

    def _publish(self, events: list[StreamEvent], done: bool) -> None:
        self._unread += events
        for iteration in self._iterations:
            iteration.put(events)
        if done:
            self._end()
        self._moved.set()

    def _end(self) -> None:
        self._ended = True
        self._moved.set()
        for iteration in self._iterations:
            iteration.end(self._stream.error if self._stream else None)


class _Shared(Batch):
    """The batch of an `AsyncBatch`, which the worker holds."""

    def __init__(self, model: VoxtralRealtime, slots: int) -> None:
        super().__init__(model, slots)
        self.members: weakref.WeakSet[AsyncBatchStream] = weakref.WeakSet()
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = deque()

    async def opened(self, block: bool | float, options: dict[str, Any]) -> BatchStream:
        """`Batch.stream`, whose wait is a coroutine's."""
        if block is False:
            return self.stream(**options)
        limit = None if block is True else _check.positive(OP, "block", block, or_zero=True)
        ticket = asyncio.get_running_loop(), asyncio.Event()
        with self._changed:
            self._waiting.append(ticket)
        try:
            async with asyncio.timeout(limit):
                while True:
                    if self._waiting[0] is ticket:
                        with contextlib.suppress(BatchFull):
                            return self.stream(**options)
                    ticket[1].clear()
                    await ticket[1].wait()
        except TimeoutError:
            return self.stream(**options)  # free by now, or refused in its words
        finally:
            with self._changed:
                self._waiting.remove(ticket)
            self._wake()

    def told(self) -> list[AsyncBatchStream]:
        """Those with news; what is done is told once."""
        with self._changed:
            opened = [(member, member._opened("stream")) for member in self.members]
            news = [(member, stream) for member, stream in opened if stream.done or stream._unread]
            for member, stream in news:
                if stream.done:
                    self.members.discard(member)
        return [member for member, _ in news]

    def _left(self, stream: BatchStream) -> None:
        super()._left(stream)
        self._wake()

    def _wake(self) -> None:
        with self._changed:
            for loop, event in list(self._waiting)[:1]:
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(event.set)


def _work(batch: _Shared) -> None:
    while True:
        batch.wait()
        with contextlib.suppress(Exception):  # streams that it ended tell of it
            batch.step()
        for member in batch.told():
            member._deliver()
        if batch._closed:
            return


def _stop(batch: Batch, worker: threading.Thread) -> None:
    batch.close()
    if worker is not threading.current_thread():
        worker.join()
