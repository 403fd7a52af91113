"""One stream of an `AsyncBatch`."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ... import _check
from ..result import Result, Word
from .async_stream import Events
from .batch_stream import OP, BatchStream
from .transcription import StreamEvent

if TYPE_CHECKING:
    from ...audio.types import Samples
    from .async_batch import AsyncBatch, Shared


class AsyncBatchStream:
    """One stream of an `AsyncBatch`, made by ``batch.stream``: the names of `AsyncStream`.

    ``async with`` finishes the stream at its end, unless an exception leaves it (a client that is gone, say), and gives
    its slot back.
    """

    def __init__(
        self, owner: AsyncBatch, batch: Shared, block: bool | float, backlog_s: float, options: dict[str, Any]
    ) -> None:
        self._owner, self._batch = owner, batch  # a batch that nobody holds ends
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
