"""What is counted, as Prometheus text."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import mlx.core as mx
from prometheus_client import CollectorRegistry, Counter, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from .service import Service

disable_created_metrics()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """Counts of one service; the batch's own are read when they are asked for.

    Args:
        service: Whose.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._registry = CollectorRegistry()
        self._refused = Counter("voxtral_refused", "Refused, by why.", ["code"], registry=self._registry)
        self._began = Counter("voxtral_transcriptions", "Begun.", ["kind"], registry=self._registry)
        self._heard = Counter("voxtral_audio_seconds", "Audio handed to the model.", registry=self._registry)
        self._registry.register(self)

    def refused(self, code: str) -> None:
        """One more."""
        self._refused.labels(code).inc()

    def began(self, kind: str) -> None:
        """One more, ``"live"`` or ``"recording"``."""
        self._began.labels(kind).inc()

    def heard(self, seconds: float) -> None:
        """So much more audio."""
        self._heard.inc(seconds)

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The batch's and the process's, for the registry."""
        service, stats = self._service, self._service.batch.stats()
        yield GaugeMetricFamily("voxtral_streams", "Streams that have a slot.", stats.streams)
        yield GaugeMetricFamily("voxtral_slots", "Slots.", service.served.slots)
        yield GaugeMetricFamily("voxtral_waiting", "Recordings that wait for a slot.", service.seats.queued)
        yield GaugeMetricFamily("voxtral_connections", "Requests and WebSockets that are open.", service.connections)
        yield CounterMetricFamily("voxtral_steps", "Steps of the batch.", stats.steps)
        yield CounterMetricFamily("voxtral_rows", "Positions of streams that they took.", stats.rows)
        yield GaugeMetricFamily("voxtral_step_seconds", "Median of the newest steps.", stats.step_ms / 1e3)
        yield GaugeMetricFamily("voxtral_backlog_seconds", "Audio that waits to be heard.", stats.backlog_s)
        memory = GaugeMetricFamily("voxtral_memory_bytes", "MLX's memory, and the process's most.", labels=["kind"])
        memory.add_metric(["active"], mx.get_active_memory())
        memory.add_metric(["cache"], mx.get_cache_memory())
        memory.add_metric(["process_peak"], _peak_bytes())
        yield memory


def _peak_bytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)
