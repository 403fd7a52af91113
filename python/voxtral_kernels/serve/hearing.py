"""A recording through a stream of the batch: decoded on threads, handed over as fast as the batch hears it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ..audio import SAMPLE_RATE
from ..audio.blocks import Blocks, blocks
from ..transcripts.formats import Transcript
from .errors import Refused

if TYPE_CHECKING:
    from ..models.voxtral_realtime import StreamEvent
    from .service import Service


class Recording:
    """An uploaded file; decoded by one thread at a time, freed when none is inside.

    Args:
        file: Its bytes.
        name: What the client calls it.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name, self._file = name, file
        self._lock = threading.Lock()
        self._blocks: Blocks | None = None

    @property
    def blocks(self) -> Blocks:
        """Of an opened one."""
        assert self._blocks is not None
        return self._blocks

    async def open(self, most_s: float) -> None:
        """Decode the beginning.

        Raises:
            Refused: it is no audio, or says that it is longer than that.
        """
        try:
            await asyncio.to_thread(self._open)
        except ValueError as error:
            raise Refused(400, str(error), code="invalid_audio", param="file") from None
        if (self.blocks.duration_s or 0) > most_s:
            raise too_long(most_s)

    async def next(self) -> np.ndarray | None:
        """The next block of samples ``[T]``, None at the end."""
        return await asyncio.to_thread(self._next)

    async def close(self) -> None:
        """Free the file, once no thread decodes it any more."""
        await asyncio.shield(asyncio.to_thread(self._close))

    def _open(self) -> None:
        with self._lock:
            self._blocks = blocks(_Named(self._file, self.name), argument="file")

    def _next(self) -> np.ndarray | None:
        with self._lock:
            return next(self.blocks, None)

    def _close(self) -> None:
        with self._lock:
            if self._blocks is not None:
                self._blocks.close()
            self._file.close()


class _Named:
    """A file and its name, whose ending tells FFmpeg of formats that have no mark."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self.name = file, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Hearing:
    """One recording being transcribed.

    Args:
        service: Whose batch does it.
        stream: Of the batch, open.
        recording: Open.
    """

    def __init__(self, service: Service, stream: Any, recording: Recording) -> None:
        self._service, self._stream, self._recording = service, stream, recording
        self._ended = ""  # why the audio was not heard to its end
        self._refused: Refused | None = None

    async def events(self) -> AsyncGenerator[StreamEvent]:
        """Every event, as it is decoded.

        Raises:
            Refused: the recording is longer than the limit.
        """
        events = aiter(self._stream)
        feeding = asyncio.create_task(self._feed())
        try:
            async for event in events:
                yield event
            await feeding
        finally:
            feeding.cancel()
            await asyncio.wait({feeding})
        if self._refused is not None:
            raise self._refused

    def transcript(self, settings: dict[str, Any]) -> Transcript:
        """What it came to."""
        stream, audio = self._stream, self._recording.blocks
        reason = self._ended or ("" if audio.complete else "no more can be read")
        return Transcript(
            self._recording.name,
            stream.text,
            list(stream.words),
            list(stream.tokens),
            stream.duration_s,
            complete=not reason,
            settings=settings,
            reason=reason,
        )

    async def _feed(self) -> None:
        """Hand the recording over; whatever ends it early, what was heard is transcribed to its last word."""
        most_s, count = self._service.limits.audio_s, 0
        while True:
            try:
                block = await self._recording.next()
            except ValueError as error:
                self._ended = str(error)
                break
            if block is None:
                break
            count += len(block)
            if count > most_s * SAMPLE_RATE:
                self._refused = too_long(most_s)
                break
            await self._stream.feed(block)
            self._service.metrics.heard(len(block) / SAMPLE_RATE)
            if self._service.late:
                self._ended = "the server was ended"
                break
        await (self._stream.finish() if self._refused is None else self._stream.aclose())


def too_long(most_s: float) -> Refused:
    """Audio beyond the limit."""
    return Refused(413, f"Audio may last {most_s / 60:g} minutes.", code="audio_too_long", param="file")
