"""What all requests share: the batch and its slots, the limits, the counts, and whether the server is ending."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..models.voxtral_realtime.async_batch import AsyncBatch
from ..models.voxtral_realtime.batch import BatchFull
from .access import Access
from .errors import Refused
from .limits import Limits, Rate, Seats
from .metrics import Metrics

if TYPE_CHECKING:
    from ..models.voxtral_realtime import VoxtralRealtime

# How long a slot that was given back may take to be free in the batch.
_LEAVING_S = 10.0


@dataclass(frozen=True)
class Served:
    """What is served.

    Attributes:
        model: A realtime model.
        name: What clients call it.
        names: What they may call it besides.
        slots: Live streams and recordings at once.
        delay_ms, cache_bits, chunk_ms: Of streams that ask for nothing else.
    """

    model: VoxtralRealtime
    name: str
    names: tuple[str, ...] = ()
    slots: int = 8
    delay_ms: float = 480.0
    cache_bits: int = 16
    chunk_ms: int = 80


class Service:
    """One server's state; made inside its event loop.

    Args:
        served: The model and how it is served.
        access: Who may ask.
        limits: How much.
    """

    def __init__(self, served: Served, access: Access, limits: Limits) -> None:
        self.served, self.access, self.limits = served, access, limits
        bits, longest_s = served.cache_bits, limits.audio_s
        self.batch = AsyncBatch(served.model, slots=served.slots, cache_bits=bits, longest_s=longest_s)
        self.rate = Rate(limits.per_minute)
        self.seats = Seats(served.slots, limits.waiting, limits.wait_s)
        self.metrics = Metrics(self)
        self.draining = asyncio.Event()
        self.began = int(time.time())
        self._ends_at = float("inf")
        self._connections = self._recordings = 0

    def check_model(self, name: object) -> None:
        """Refuse a model that is not served; None is the one that is."""
        if name is not None and name not in (self.served.name, *self.served.names):
            text = f"The model {str(name)[:100]!r} is not served here; {self.served.name!r} is."
            raise Refused(404, text, code="model_not_found", param="model")

    @contextlib.contextmanager
    def connection(self, *, recording: bool) -> Iterator[None]:
        """A request or a WebSocket, inside ``with``; of recordings as many as have a slot or may wait for one."""
        if self._connections >= self.limits.connections:
            raise Refused(503, "Too many connections.", code="too_many_connections", retry_s=5.0)
        if recording and self._recordings >= self.served.slots + self.limits.waiting:
            raise Refused(503, "Too many recordings wait.", code="slots_full", retry_s=self.limits.wait_s)
        self._connections, self._recordings = self._connections + 1, self._recordings + recording
        try:
            yield
        finally:
            self._connections, self._recordings = self._connections - 1, self._recordings - recording

    @property
    def connections(self) -> int:
        """Requests and WebSockets that are open."""
        return self._connections

    @contextlib.asynccontextmanager
    async def stream(self, delay_ms: float | None, sample_rate: float | None = None) -> AsyncIterator[Any]:
        """A stream of the batch, for who has a seat. Leaving ``async with`` frees it, whatever is not heard yet.

        Raises:
            Refused: a delay or a rate that no stream has.
        """
        served = self.served
        opened = self.batch.stream(
            served.delay_ms if delay_ms is None else delay_ms,
            sample_rate=sample_rate,
            chunk_ms=served.chunk_ms,
            cache_bits=served.cache_bits,
            block=_LEAVING_S,
        )
        async with contextlib.AsyncExitStack() as stack:
            try:
                stream = await stack.enter_async_context(opened)
            except BatchFull:
                raise Refused(503, "No slot became free.", code="slots_full", retry_s=_LEAVING_S) from None
            except ValueError as error:
                raise Refused(400, str(error), code="invalid_value") from None
            yield stream

    def drain(self) -> None:
        """Begin no more; what is live ends now, recordings may go on for ``drain_s``."""
        if not self.draining.is_set():
            self._ends_at = time.monotonic() + self.limits.drain_s
            self.draining.set()

    @property
    def late(self) -> bool:
        """Whether recordings must end too."""
        return time.monotonic() >= self._ends_at
