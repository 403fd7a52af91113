"""Figures that are the same in every run on every machine: what the comparison gates hard on."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any
from unittest import mock

import mlx.core as mx
import numpy as np

import voxtral_kernels as vk
from voxtral_kernels.backends import select

STEPS = 150  # of 80 ms: the tiny model's windows are full well before
PEAK = "tiny stream, peak bytes above the model"
# Arrays are freed as threads happen to run: the same tree's peaks differ by some 10 %, and only more than this fails.
LOOSE = {PEAK: 0.25}


def counters() -> dict[str, float]:
    """Every counter by name; a lower figure is better for each."""
    found: dict[str, float] = {}
    for source in SOURCES:
        found |= source()
    return found


def stream_memory() -> dict[str, float]:
    """What the caches of a stream of the tiny model hold at its end, and the peak of MLX's memory on the way."""
    model = vk.load("tiny")
    samples = np.random.default_rng(0).normal(0, 0.05, (STEPS, model.config.samples_per_token)).astype(np.float32)
    mx.synchronize()
    base = mx.get_active_memory()
    mx.reset_peak_memory()
    stream = model.stream()
    for step in samples:
        stream.feed(step)
    held = sum(cache.nbytes for cache in (*stream._audio.caches, *stream._decoding.caches))
    return {"tiny stream, cache bytes with windows full": held, PEAK: mx.get_peak_memory() - base}


def cache_copies() -> dict[str, float]:
    """Bytes that a decoder cache of the 4B model copies a token, on the route without the extension."""
    copied = 0

    def measured(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            nonlocal copied
            result = function(*args)
            copied += sum(a.nbytes for a in (result if isinstance(result, tuple) else (result,)))
            return result

        return call

    cache, tokens = vk.RingKVCache(8192), 1024
    kv = mx.zeros((1, 8, 8192, 128), mx.bfloat16)
    cache.append(kv, kv)
    row, q = kv[:, :, :1], mx.zeros((1, 32, 1, 128), mx.bfloat16)
    attention, append = (importlib.import_module(f"voxtral_kernels.reference.{op}") for op in CACHE_OPS)
    with (
        vk.use_backend("composed"),
        mock.patch.object(attention, "commit", measured(attention.commit)),
        mock.patch.dict(select._loaded, {("composed", "kv_append"): _Measured(measured(append.composed))}),
        mock.patch.dict(select._loaded, {("composed", CACHE_OPS[0]): _Measured(lambda r: r.q)}),
    ):
        for _ in range(tokens):
            vk.sliding_window_attention(q, row, row, cache=cache)
    return {"cache bytes copied a token, decoder": copied / tokens}


class _Measured(select.Backend):
    """A composed op under a function of our own."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def unsupported(self, request: Any, device: mx.DeviceType) -> list[str]:
        return []

    def variant(self, request: Any) -> tuple[str, str]:
        return "composed", "Measured."

    def run(self, request: Any, stream: Any) -> Any:
        return self._function(request)


def _figures(module: str) -> Callable[[], dict[str, float]]:
    """``figures()`` of another suite."""
    return lambda: importlib.import_module(f"..suites.{module}", __package__).figures()


CACHE_OPS = ("sliding_window_attention", "kv_append")
SOURCES: list[Callable[[], dict[str, float]]] = [
    stream_memory,
    cache_copies,
    *map(_figures, ("launches", "host", "counters", "metal_sources")),
]
