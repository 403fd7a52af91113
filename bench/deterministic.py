"""Figures that are the same in every run on every machine: what the comparison gates hard on."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import mlx.core as mx
import numpy as np

import voxtral_kernels as vk

STEPS = 150  # of 80 ms: the tiny model's windows are full well before


def counters() -> dict[str, float]:
    """Every counter by name; a lower figure is better for each."""
    found: dict[str, float] = {}
    for source in SOURCES:
        found |= source()
    return found


def stream_memory() -> dict[str, float]:
    """Peak of MLX's memory over a short stream of the tiny model, and what its caches hold at the end."""
    model = vk.load("tiny")
    stream = model.stream()
    samples = np.random.default_rng(0).normal(0, 0.05, (STEPS, model.config.samples_per_token)).astype(np.float32)
    base = mx.get_active_memory()
    mx.reset_peak_memory()
    for step in samples:
        stream.feed(step)
    return {"tiny stream, peak bytes above the model": mx.get_peak_memory() - base}


def of_the_shaders() -> dict[str, float]:
    """Traffic of the shaders as the emulator counts it."""
    return importlib.import_module(f"{__package__}.counters").figures()


SOURCES: list[Callable[[], dict[str, float]]] = [stream_memory]
