"""Rotary positions of a chunk: one table from float64 angles on the host, shared by all layers.

Source: RoFormer, Su et al. 2021. Angles in float32 lose 0.06 rad at position 10^6; these lose none.
"""

from __future__ import annotations

import functools

import mlx.core as mx
import numpy as np

from ..reference import rope_append

# Positions whose angles are computed together: a stream asks for a few at a time.
_BLOCK = 64


@functools.lru_cache(maxsize=16)
def _block(first: int, head_dim: int, theta: float) -> np.ndarray:
    return rope_append.rotation(first, _BLOCK, head_dim, theta)


def rotation(offset: int, length: int, head_dim: int, theta: float) -> mx.array:
    """Cosine and sine of each pair's angle, ``[length, D / 2, 2]`` float32, as `rope_append` takes them.

    Args:
        offset: Absolute position of the first row.
        length: Number of positions.
        head_dim: D, even.
        theta: Base of the frequencies.
    """
    start = offset % _BLOCK
    if start + length <= _BLOCK:
        return mx.array(_block(offset - start, head_dim, theta)[start : start + length])
    return mx.array(rope_append.rotation(offset, length, head_dim, theta))
