"""What is said between two commits of a realtime session: one stream of the batch, its text told as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..audio import SAMPLE_RATE
from ..transcripts.plain import visible
from .errors import Refused
from .transcriptions import words

if TYPE_CHECKING:
    from .service import Service

Tell = Callable[[dict[str, Any]], Awaitable[None]]


class Utterance:
    """One of them.

    Args:
        service: Whose batch hears it.
        tell: Sends an event to the client, which takes it or is cut off.
        with_words: A delta lists the words that ended since the last, and where in the audio it is.
    """

    def __init__(self, service: Service, tell: Tell, *, with_words: bool) -> None:
        self._service, self._tell_client, self._with_words = service, tell, with_words
        self._stack = contextlib.AsyncExitStack()
        self._stream: Any = None
        self._telling: asyncio.Task[None] | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._rate: float = SAMPLE_RATE
        self._n_fed = self._n_told = 0

    async def open(self, delay_ms: float | None, sample_rate: float | None) -> None:
        """Take a stream.

        Raises:
            Refused: there is no such delay or rate.
        """
        self._rate = sample_rate or SAMPLE_RATE
        self._stream = await self._stack.enter_async_context(self._service.stream(delay_ms, sample_rate))
        self._service.metrics.began("live")
        self._telling = asyncio.create_task(self._tell(aiter(self._stream)))

    @property
    def is_finishing(self) -> bool:
        """No more audio comes."""
        return self._finishing is not None

    async def feed(self, samples: np.ndarray) -> None:
        """Hand samples over; waits while the batch is behind.

        Raises:
            Refused: the audio is longer than the limit; all that was heard has been told.
        """
        self._n_fed += len(samples)
        most_s = self._service.limits.audio_s
        if self._n_fed > most_s * self._rate:
            self.begin_finish()
            await self.finished()
            raise Refused(413, f"Audio may last {most_s / 60:g} minutes.", code="audio_too_long")
        self._service.metrics.heard(len(samples) / self._rate)
        await self._until_told(self._stream.feed(samples))

    def begin_finish(self) -> None:
        """The audio has ended: the rest of the text is told, in the background."""
        if self._finishing is None:
            self._finishing = asyncio.create_task(self._finish())

    async def finished(self) -> None:
        """Wait for that."""
        assert self._finishing is not None
        await self._finishing

    async def close(self) -> None:
        """Leave the stream, whatever is not heard yet."""
        tasks = {task for task in (self._finishing, self._telling) if task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._leave()

    async def _finish(self) -> None:
        await self._until_told(self._stream.finish())
        assert self._telling is not None
        await self._telling
        stream = self._stream
        heard, said = math.ceil(stream.duration_s / self._service.served.model.config.token_s), len(stream.tokens)
        usage = {"prompt_tokens": heard, "completion_tokens": said, "total_tokens": heard + said}
        more = {"words": words(stream.words), "duration": round(stream.duration_s, 3)} if self._with_words else {}
        text = visible(stream.text.strip())
        await self._leave()
        await self._tell_client({"type": "transcription.done", "text": text, "usage": usage, **more})

    async def _until_told(self, work: Awaitable[Any]) -> None:
        """Do it, unless the client takes no more."""
        task = asyncio.ensure_future(work)
        assert self._telling is not None
        try:
            await asyncio.wait({task, self._telling}, return_when=asyncio.FIRST_COMPLETED)
            if self._telling.done() and self._telling.exception() is not None:
                self._telling.result()
            await task
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _tell(self, events: Any) -> None:
        async for event in events:
            if event.text:
                delta = {"type": "transcription.delta", "delta": visible(event.text)}
                await self._tell_client(delta | (self._times(event) if self._with_words else {}))

    def _times(self, event: Any) -> dict[str, Any]:
        """The words that are complete by now: the newest may still grow."""
        new = self._stream.words[self._n_told : -1]
        self._n_told += len(new)
        return {"end": round(event.end_s, 3), "words": words(new)}

    async def _leave(self) -> None:
        """With an error, so that the stream is not finished: either it was, or nobody waits for it."""
        stack, self._stack = self._stack, contextlib.AsyncExitStack()
        gone = _Left()
        with contextlib.suppress(_Left):
            await stack.__aexit__(_Left, gone, None)


class _Left(Exception):  # noqa: N818 - not an error
    """An utterance was left."""
