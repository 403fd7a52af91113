"""Attention of stock ops in which values that a query does not see never reach it, as 0 times infinity would."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

# In one sum of float32: how many values are +inf, -inf (as fractions) and NaN. Fewer of each than this, however much a
# block of queries sees in part.
_MOST = 4096


def attention(q: mx.array, keys: mx.array, values: mx.array, *, scale: float, visible: np.ndarray) -> mx.array:
    """``mx.fast.scaled_dot_product_attention`` with the mask ``visible [L, keys]``."""
    if visible.all():
        return mx.fast.scaled_dot_product_attention(q, keys, values, scale=scale)
    seen = np.logical_or.reduce(visible)
    partly = seen & ~np.logical_and.reduce(visible)
    kept, marks = mx.array(seen[:, None]), None
    if partly.any():
        marks = _marks(values[:, :, mx.array(np.flatnonzero(partly))], visible[:, partly])
        kept = kept & (mx.array(~partly[:, None]) | mx.isfinite(values))
    values = mx.where(kept, values, mx.zeros((), values.dtype))
    out = mx.fast.scaled_dot_product_attention(q, keys, values, scale=scale, mask=mx.array(visible))
    return out if marks is None else out + mx.repeat(marks, q.shape[1] // keys.shape[1], axis=1).astype(out.dtype)


def _marks(values: mx.array, visible: np.ndarray) -> mx.array:
    """What infinite and NaN values make of each query that sees them, 0 without any: ``[B, Hkv, L, D]``, float32."""
    code = mx.where(mx.isnan(values), float(_MOST), mx.where(values > 0, 1.0, 1 / _MOST))
    code = mx.where(mx.isfinite(values), 0.0, code)
    found = mx.array(visible.astype(np.float32)) @ code
    up, down = found >= 1, found > mx.floor(found)
    nan = (found >= _MOST) | (up & down)
    return mx.where(nan, float("nan"), mx.where(up, float("inf"), mx.where(down, -float("inf"), 0.0)))
