"""What the definitions share: float64 views of MLX arrays and random inputs."""

from __future__ import annotations

import mlx.core as mx
import numpy as np


def float64(a: mx.array | np.ndarray) -> np.ndarray:
    """The array's exact values in float64; of one definition's oracle in another's, those that it has."""
    if isinstance(a, np.ndarray):
        return a
    return np.array(a.astype(mx.float32), np.float64)


def normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: mx.Dtype, scale: float = 1.0) -> mx.array:
    """Normal deviates of this standard deviation, rounded to ``dtype``."""
    return mx.array(rng.normal(0.0, scale, shape).astype(np.float32)).astype(dtype)


def strided(a: mx.array) -> mx.array:
    """The same values behind a view whose last two axes are swapped in memory."""
    transposed = mx.contiguous(mx.swapaxes(a, -1, -2))
    mx.eval(transposed)
    return mx.swapaxes(transposed, -1, -2)
