"""The ring of a cache: how it is written, and what its rows are in 8 bits.

``[2, B, Hkv, C, D]``: keys, then values; slot = position % C. In 8 bits a row of D values is D signed bytes
``round(127 x / max|x|)`` and their scale ``max|x| / 127`` in float32. Such a ring is one int8 array of shape
``[2, B, Hkv, C, D + 4]``; in memory the bytes of all rows come first, then all scales, so that rows stay aligned.
"""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
import numpy as np

# Bytes of a scale.
SCALE = 4
# A row whose largest value is below this is zeros: 127 divided by it would be beyond float32.
SMALLEST = 2.0**-119
# The largest value of a row becomes this many steps.
STEPS = 127


def is_quantised(ring: mx.array) -> bool:
    """The ring holds its rows in 8 bits."""
    return ring.dtype == mx.int8


def quantised(rows: mx.array) -> tuple[mx.array, mx.array]:
    """``[..., D]`` to int8 ``[..., D]`` and their scales ``[..., 1]``: NaN where the row has an infinity or NaN."""
    x = rows.astype(mx.float32)
    largest = mx.abs(x).max(axis=-1, keepdims=True)
    finite, some = mx.isfinite(largest), largest >= SMALLEST
    values = mx.where(finite & some, mx.round(x * (STEPS / largest)), 0).astype(mx.int8)
    return values, mx.where(finite, mx.where(some, largest / STEPS, 0.0), mx.nan)


def parts(ring: mx.array) -> tuple[mx.array, mx.array]:
    """The bytes ``[2, B, Hkv, C, D]`` and scales ``[2, B, Hkv, C, 1]`` of a ring of 8 bits."""
    *sizes, row = ring.shape
    split = ring.size // row * (row - SCALE)
    flat = mx.stop_gradient(ring).reshape(-1)  # bytes have no derivative
    scales = mx.view(mx.contiguous(flat[split:]), mx.float32)
    return flat[:split].reshape(*sizes, row - SCALE), scales.reshape(*sizes, 1)


def joined(values: mx.array, scales: mx.array) -> mx.array:
    """The ring that has these `parts`."""
    flat = mx.concatenate([values.reshape(-1), mx.view(scales.reshape(-1), mx.int8)])
    return flat.reshape(*values.shape[:-1], values.shape[-1] + SCALE)


def dequantised(values: mx.array, scales: mx.array) -> mx.array:
    """What bytes and scales stand for, in float32: each product is rounded once."""
    return values.astype(mx.float32) * scales


def exact(ring: mx.array) -> np.ndarray:
    """What a ring of 8 bits stands for in float64, where the products are exact."""
    values, scales = (np.array(a).astype(np.float64) for a in parts(ring))
    return values * scales


def empty_ring(heads: Sequence[int], capacity: int, dim: int, dtype: mx.Dtype, bits: int) -> mx.array:
    """Zeros for ``heads`` = B, Hkv: of ``dtype``, or in 8 bits."""
    row, held = (dim + SCALE, mx.int8) if bits == 8 else (dim, dtype)
    return mx.zeros((2, *heads, capacity, row), held)


def side_by_side(rings: Sequence[mx.array], axis: int = 1) -> mx.array:
    """One ring of several: of the heads of all, or with axis 3 of all their slots."""
    if not is_quantised(rings[0]):
        return mx.concatenate(list(rings), axis=axis)
    return joined(*(mx.concatenate(list(of), axis=axis) for of in zip(*(parts(r) for r in rings), strict=True)))


def grown(ring: mx.array, fresh: mx.array) -> mx.array:
    """The ring with the slots of ``fresh`` behind its own."""
    return side_by_side([ring, fresh], axis=3)


def slot(ring: mx.array, index: int) -> mx.array:
    """The ring ``[2, 1, Hkv, C, D]`` of one of several."""
    if not is_quantised(ring):
        return ring[:, index : index + 1]
    return joined(*(a[:, index : index + 1] for a in parts(ring)))


def with_slot(ring: mx.array, index: int, one: mx.array) -> mx.array:
    """The ring of several with another one in its place."""
    at = mx.array([index])
    if not is_quantised(ring):
        return mx.slice_update(ring, one, at, axes=[1])
    return joined(*(mx.slice_update(a, b, at, axes=[1]) for a, b in zip(parts(ring), parts(one), strict=True)))


def commit(ring: mx.array, start: int, k: mx.array, v: mx.array) -> mx.array:
    """The ring with positions ``start ..`` written: ``slot = position % C``.

    Args:
        ring: ``[2, B, Hkv, C, D]``, or of 8 bits: the rows are then quantised.
        start: Position of the first of ``k`` and ``v``.
        k, v: ``[B, Hkv, T, D]``, any T; only the last C positions are kept.

    Returns:
        A new ring; the one given keeps its values.
    """
    capacity = ring.shape[3]
    drop = max(0, k.shape[2] - capacity)
    rows, slot = mx.stack([k[:, :, drop:], v[:, :, drop:]]), (start + drop) % capacity
    if not is_quantised(ring):
        return _written(ring, slot, rows)
    return joined(*(_written(a, slot, b) for a, b in zip(parts(ring), quantised(rows), strict=True)))


def _written(ring: mx.array, slot: int, rows: mx.array) -> mx.array:
    first = min(rows.shape[3], ring.shape[3] - slot)
    ring = mx.slice_update(ring, rows[..., :first, :], mx.array([slot]), axes=[3])
    if first < rows.shape[3]:
        ring = mx.slice_update(ring, rows[..., first:, :], mx.array([0]), axes=[3])
    return ring
