"""Inputs of the small requests that the self-check runs."""

from __future__ import annotations

import mlx.core as mx
import numpy as np


def normal(seed: int, shape: tuple[int, ...], dtype: mx.Dtype, scale: float = 1.0) -> mx.array:
    """The same normal deviates on every machine, rounded to ``dtype``."""
    values = np.random.default_rng(seed).normal(0.0, scale, shape)
    return mx.array(values.astype(np.float32)).astype(dtype)
