"""What the cases of attention hold beside ordinary numbers."""

from __future__ import annotations

import math

import mlx.core as mx


def spoilt(kind: str, past: int, q: mx.array, k: mx.array, v: mx.array) -> tuple[mx.array, mx.array, mx.array]:
    """Values of one of `rule.EXTREMES`, at keys that the first query sees but is not left alone with."""
    half = q.dtype == mx.float16
    if kind == "huge":
        q[..., 0], v = -1, v * (1e3 if half else 1e30)
        k[:, :, past - 3, 0] = 6e4 if half else 1e37
    elif kind == "tiny":
        small = 1e-5 if half else 1e-30
        q, k, v = q * small, k * small, v * small
    elif kind == "infinite":
        # The first query scores +inf at that key, hence NaN; the others -inf: a key that is not there.
        q[..., 0] = 1
        q[:, 0, 0, 0] = -1
        k[:, 0, past - 3, 0] = -math.inf
        v[:, 0, past - 2, 3], v[:, 0, past - 4, 5] = math.inf, -math.inf
    else:
        k[:, -1, past - 5, 1] = math.nan
        v[:, 0, past - 2, 3] = v[:, 0, past + q.shape[2] - 1, 5] = math.nan
    return q, k, v
