"""How much of anything there may be: sizes, durations, rates, connections, slots."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from .errors import Refused

# Addresses whose rate is remembered; of more, the one that asked longest ago is forgotten.
_REMEMBERED = 4096


@dataclass(frozen=True)
class Limits:
    """What a server takes at most.

    Attributes:
        body_bytes: Of a request.
        message_bytes: Of one WebSocket message.
        audio_s: Audio of one recording or one live transcription.
        per_minute: Transcriptions that one address may begin in a minute, wrong keys included.
        connections: Requests and WebSockets at once.
        waiting: Recordings that wait for a slot at once; WebSockets do not wait.
        wait_s: How long one of them waits.
        idle_s: A WebSocket, or an upload, from which nothing comes.
        send_s: A client that takes nothing of what it is sent.
        drain_s: After SIGTERM, recordings are heard for so long; what is live ends at once.
    """

    body_bytes: int = 100 << 20
    message_bytes: int = 4 << 20
    audio_s: float = 4 * 3600.0
    per_minute: float = 600.0
    connections: int = 256
    waiting: int = 32
    wait_s: float = 60.0
    idle_s: float = 60.0
    send_s: float = 20.0
    drain_s: float = 30.0


class Rate:
    """So many a minute for each address, all of them at once if it likes.

    Args:
        per_minute: How many.
        clock: Seconds.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = max(1.0, per_minute), clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> float:
        """One more for this address; returns the seconds to wait for it, 0: it is granted."""
        now, per_s = self._clock(), self._most / 60
        left, at = self._left.pop(address, (self._most, now))
        left = min(self._most, left + (now - at) * per_s)
        granted = left >= 1
        self._left[address] = (left - 1 if granted else left, now)
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        return 0.0 if granted else (1 - left) / per_s


class Seats:
    """Who may open a stream of the batch: as many as it has slots, the others wait or are refused.

    Args:
        slots: Of the batch.
        waiting: How many may wait at once.
        wait_s: For how long.
    """

    def __init__(self, slots: int, waiting: int, wait_s: float) -> None:
        self.slots, self._waiting, self._wait_s = slots, waiting, wait_s
        self._free = asyncio.Semaphore(slots)
        self.taken = self.queued = 0

    @contextlib.asynccontextmanager
    async def seat(self, *, wait: bool) -> AsyncIterator[None]:
        """One of them inside ``async with``.

        Args:
            wait: For one to become free, in turn.

        Raises:
            Refused: all are taken, and stayed so.
        """
        await self._take(wait)
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._free.release()

    async def _take(self, wait: bool) -> None:
        if self._free.locked():
            if not wait or self.queued >= self._waiting:
                raise self._full()
            self.queued += 1
            try:
                await asyncio.wait_for(self._free.acquire(), self._wait_s)
            except TimeoutError:
                raise self._full() from None
            finally:
                self.queued -= 1
        else:
            await self._free.acquire()

    def _full(self) -> Refused:
        text = f"All {self.slots} slots are taken; try again later."
        return Refused(503, text, code="slots_full", retry_s=self._wait_s if self.queued else 5.0)
