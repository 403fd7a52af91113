"""Rotary positions of a chunk: one table from float64 angles on the host, shared by all layers.

Source: RoFormer, Su et al. 2021. Angles in float32 lose 0.06 rad at position 10^6; these lose none.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import mlx.core as mx
import numpy as np

from ..reference import rope_append

# Positions whose angles are computed together: a stream asks for a few at a time.
_BLOCK = 64


@functools.lru_cache(maxsize=64)
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
    return mx.array(_rotation(offset, length, head_dim, theta))


def rotations(runs: Sequence[tuple[int, int]], head_dim: int, theta: float) -> mx.array:
    """`rotation` of several runs of positions, one behind the other.

    Args:
        runs: Offset and length of each.
        head_dim, theta: As for `rotation`.
    """
    found = [_rotation(offset, length, head_dim, theta) for offset, length in runs]
    return mx.array(found[0] if len(found) == 1 else np.concatenate(found))


def _rotation(offset: int, length: int, head_dim: int, theta: float) -> np.ndarray:
    start = offset % _BLOCK
    first = _block(offset - start, head_dim, theta)
    if start + length <= _BLOCK:
        return first[start : start + length]
    if length <= _BLOCK:
        rest = _block(offset - start + _BLOCK, head_dim, theta)
        return np.concatenate([first[start:], rest[: start + length - _BLOCK]])
    return rope_append.rotation(offset, length, head_dim, theta)
