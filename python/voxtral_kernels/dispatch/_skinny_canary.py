"""The small request of skinny_linear's self-check."""

from __future__ import annotations

from dataclasses import replace

import mlx.core as mx

from ..reference.rope_append import rotation
from ..reference.skinny_linear import SkinnyLinear
from ._canary import normal


def small_like(r: SkinnyLinear, k: int, n: int, dim: int) -> SkinnyLinear:
    """A request with r's dtypes, bits, groups, rows and epilogue; K and N near these, heads of ``dim``."""
    dtype, rows = r.x.dtype, r.rows
    k, n = k + (-k % r.group_size if r.bits else 1), n if r.rotation is None else 4 * dim
    weight, scales, biases = normal(1, (n, k), dtype, k**-0.5), None, None
    if r.scales is not None:
        wide = weight.astype(r.scales.dtype)
        weight, scales, biases = mx.quantize(wide, group_size=r.group_size, bits=r.bits)
    x, residual, add = (normal(seed, (rows, size), dtype) for seed, size in ((0, k), (2, k), (3, n)))
    plain = replace(
        r,
        x=x,
        weight=weight,
        scales=scales,
        biases=biases,
        bias=normal(4, (n,), dtype),
        norm=normal(5, (k,), dtype),
        scale=None if r.scale is None else normal(6, (k,), r.scale.dtype),
        residual=None if r.residual is None else residual,  # without one the body is another
        add=None,
    )
    if r.gated:
        return plain
    if r.rotation is None:
        return replace(plain, add=add)
    turns, tail = mx.array(rotation(5, rows, dim, 1e4)), normal(7, (1, 1, 3, dim), dtype)
    return replace(plain, rotation=turns, tail_k=tail, tail_v=2 * tail, n_heads=2, n_kv_heads=1, length=rows)
