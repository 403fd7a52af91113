"""A live transcription for asyncio: the names of `Stream`, awaitable, the model's work on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ... import _check
from ..result import Word
from .stream import OP, StreamEvent

if TYPE_CHECKING:
    from ...audio.types import Samples
    from ..voxtral import Voxtral
    from .model import VoxtralRealtime

Tell = Callable[..., None]


class AsyncStream:
    """``model.stream`` for asyncio::

        async with vk.AsyncStream(model) as stream:
            async for event in stream:  # while another task awaits stream.feed(...) and stream.finish()
                print(event.text, end="")

    Each stream has one worker thread, so that the event loop never waits for the model and the calls run in the order
    in which they were made. ``async with`` finishes the stream at its end, unless an exception leaves it.

    Args:
        model: A realtime model; streams may share one.
        delay_ms, sample_rate, offset, cache_bits, drafts, chunk_ms, exact: As for ``model.stream``.

    Raises:
        ValueError: as ``model.stream``.
    """

    def __init__(
        self,
        model: VoxtralRealtime | Voxtral,
        delay_ms: float = 480,
        *,
        sample_rate: float | None = None,
        offset: int = 0,
        cache_bits: int = 16,
        drafts: bool | None = None,
        chunk_ms: int = 80,
        exact: bool = False,
    ) -> None:
        self._stream = model.stream(
            delay_ms,
            sample_rate=sample_rate,
            offset=offset,
            cache_bits=cache_bits,
            drafts=drafts,
            chunk_ms=chunk_ms,
            exact=exact,
        )
        worker = _take_worker()
        self._worker: ThreadPoolExecutor | None = worker
        self._leave = weakref.finalize(self, _leave, worker)
        self._leave.atexit = False
        self._iterations: weakref.WeakSet[Events] = weakref.WeakSet()
        self._ended = False

    @property
    def text(self) -> str:
        """The text up to now; final after ``finish``."""
        return self._stream.text

    @property
    def words(self) -> list[Word]:
        """The words up to now with their times."""
        return self._stream.words

    @property
    def tokens(self) -> list[int]:
        """Every id up to now, [STREAMING_PAD] included."""
        return self._stream.tokens

    @property
    def duration_s(self) -> float:
        """Seconds of audio fed."""
        return self._stream.duration_s

    async def feed(self, samples: Samples) -> list[StreamEvent]:
        """`Stream.feed`: the samples' events. Iterations get them piece by piece, as they are decoded.

        Cancelling takes nothing back once the worker has begun: the samples are heard to their end.

        Raises:
            ValueError: as `Stream.feed`; or the stream was closed.
        """

        def work(tell: Tell) -> list[StreamEvent]:
            events = []
            for piece in self._stream.pieces(samples):
                tell(self._publish, piece)
                events += piece
            return events

        return await self._run("feed", work)

    async def finish(self) -> list[StreamEvent]:
        """`Stream.finish`; iterations end behind its events."""

        def work(tell: Tell) -> list[StreamEvent]:
            try:
                events = self._stream.finish()
                tell(self._publish, events)
                return events
            finally:
                tell(self._end)

        return await self._run("finish", work)

    async def aclose(self) -> None:
        """Ends iterations and gives the worker back, once it is done with what it has begun; may be called again."""
        self._end()
        self._worker = None
        self._leave()

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._worker is not None:
                await self.finish()
        finally:
            await self.aclose()

    def __aiter__(self) -> Events:
        """Every event from here on, to the end; begin before the first ``feed`` to have them all."""
        events = Events()
        self._iterations.add(events)
        if self._ended:
            events.end()
        return events

    async def _run(self, name: str, work: Callable[[Tell], list[StreamEvent]]) -> list[StreamEvent]:
        """``work`` on the worker; ``tell(function, ...)`` calls a function on the event loop."""
        if self._worker is None:
            raise _check.fail(OP, name, "a stream that is not closed", "one that is")
        loop = asyncio.get_running_loop()

        def tell(function: Callable[..., None], *args: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody iterates
                loop.call_soon_threadsafe(function, *args)

        # The caller's `use_backend` counts in the worker too.
        return await loop.run_in_executor(self._worker, contextvars.copy_context().run, work, tell)

    def _publish(self, events: list[StreamEvent]) -> None:
        for iteration in self._iterations:
            iteration.put(events)

    def _end(self) -> None:
        self._ended = True
        for iteration in self._iterations:
            iteration.end()


class Events:
    """One iteration over the events of a stream."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[StreamEvent | None] = asyncio.Queue()
        self._error: BaseException | None = None

    def put(self, events: list[StreamEvent]) -> None:
        for event in events:
            self._queue.put_nowait(event)

    def end(self, error: BaseException | None = None) -> None:
        self._error = self._error or error
        self._queue.put_nowait(None)

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> StreamEvent:
        event = await self._queue.get()
        if event is None:
            self.end()  # for whoever asks again
            raise self._error or StopAsyncIteration
        return event


# A thread that has used MLX leaves a thread of MLX's behind for good, so workers go from stream to stream.
_idle: list[ThreadPoolExecutor] = []
_idle_lock = threading.Lock()


def _take_worker() -> ThreadPoolExecutor:
    with _idle_lock:
        return _idle.pop() if _idle else ThreadPoolExecutor(1, "voxtral-kernels")


def _leave(worker: ThreadPoolExecutor) -> None:
    """Free the worker once everything that its stream has asked for is done."""

    def give_back() -> None:
        with _idle_lock:
            _idle.append(worker)

    with contextlib.suppress(RuntimeError):  # the interpreter is ending
        worker.submit(give_back)
