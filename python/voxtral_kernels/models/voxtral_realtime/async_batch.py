"""A `Batch` for asyncio: its streams' names awaitable, one worker thread makes the steps."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from ... import _check
from .async_batch_stream import AsyncBatchStream
from .batch import Batch, BatchFull, BatchStats
from .batch_stream import OP, BatchStream

if TYPE_CHECKING:
    from .model import VoxtralRealtime


class AsyncBatch:
    """`Batch` for asyncio::

        async with vk.AsyncBatch(model, slots=8) as batch:
            async with batch.stream() as stream:
                async for event in stream:  # while another task awaits stream.feed(...) and stream.finish()
                    print(event.text, end="")

    One worker thread steps as long as some stream has audio, so that the event loop never waits for the model.

    Args:
        model, slots, cache_bits, longest_s: As for `Batch`.

    Raises:
        ValueError: as `Batch`.
    """

    def __init__(
        self, model: VoxtralRealtime, slots: int = 8, *, cache_bits: int = 16, longest_s: float | None = None
    ) -> None:
        self._batch = batch = Shared(model, slots, cache_bits=cache_bits, longest_s=longest_s)
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
        cache_bits: int | None = None,
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
        return AsyncBatchStream(self, self._batch, block, backlog_s, options)

    async def aclose(self) -> None:
        """Close every stream and end the worker, once it is done with its step; may be called again."""
        self._batch.close()
        await asyncio.to_thread(self._stop)

    async def __aenter__(self) -> AsyncBatch:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Shared(Batch):
    """The batch of an `AsyncBatch`, which the worker holds."""

    def __init__(self, model: VoxtralRealtime, slots: int, **options: Any) -> None:
        super().__init__(model, slots, **options)
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


def _work(batch: Shared) -> None:
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
