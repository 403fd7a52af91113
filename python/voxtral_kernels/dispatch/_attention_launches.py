"""The launches of `sliding_window_attention`: which kernels, with which sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx

from ..backends.source import Factory, kernel
from ..reference.sliding_window_attention import SlidingWindowAttention
from . import _attention_variants as sizes

VECTOR, STAGED = "sliding_window_attention_vector", "sliding_window_attention_staged"
INPUTS = ("q", "ring", "tail_k", "tail_v", "state", "streams", "scale")


def template(r: SlidingWindowAttention) -> list[tuple[str, Any]]:
    """The template arguments: dtypes, sizes and options; nothing that changes as a stream moves."""
    return _template(r, sizes.n_splits(r))


def _template(r: SlidingWindowAttention, splits: int) -> list[tuple[str, Any]]:
    file = _file(r)
    if file == VECTOR:
        form = [("ROWS", sizes.padded(sizes.rows_of(r)))]
    elif file == STAGED:
        form = [*zip(("ROWS", "SIMDS", "KEYS"), sizes.staged(r), strict=True)]
    else:
        form = [*zip(("BQ", "BK"), sizes.tiles(r), strict=True)]
    cut = [("SPAN", sizes.SPAN)] if splits > 1 else []
    held = r.q.dtype if r.ring is None else r.ring.dtype
    what = [("HAS_RING", r.ring is not None), ("STREAMS", r.streams is not None)]
    return [("T", r.q.dtype), ("R", held), ("D", r.q.shape[3]), *what, *form, *cut]


def _file(r: SlidingWindowAttention) -> str:
    return f"sliding_window_attention_{sizes.variant(r)[0].partition('_')[0]}"


def form(
    r: SlidingWindowAttention, splits: int, factory: Factory, stream: mx.Stream | mx.Device | None
) -> Callable[[list[Any]], mx.array]:
    """The launches of one variant from the kernels' inputs; 0 splits: in matrix tiles."""
    batch, heads, length, dim = r.q.shape
    shape = (batch * length, heads * dim) if r.as_rows else (batch, length, heads, dim)
    out = {"output_shapes": [shape], "output_dtypes": [r.q.dtype], "stream": stream}
    file = _file(r)
    threads, groups = sizes.threadgroups(r, splits)
    grid = (threads * groups, r.tail_k.shape[1], batch)
    over = {"template": _template(r, splits), "grid": grid, "threadgroup": (threads, 1, 1)}
    if splits <= 1:
        run = kernel(factory, f"{file}.metal", file, INPUTS, ("out",), False)
        return lambda inputs: run(inputs=inputs, **over, **out)[0]
    part = kernel(factory, f"{file}.metal", f"{file}_split", INPUTS, ("partial", "stats"), False)
    parts = {
        "output_shapes": [(batch, heads, length, splits, n) for n in (dim, 2)],
        "output_dtypes": [mx.float32, mx.float32],
        "stream": stream,
    }
    merge = kernel(factory, f"{VECTOR}.metal", f"{VECTOR}_merge", ("partial", "stats"), ("out",))
    lanes = 32 * -(-dim // 32)
    behind = {"grid": (lanes, batch * heads * length, 1), "threadgroup": (lanes, 1, 1), "template": [("T", r.q.dtype)]}
    return lambda inputs: merge(inputs=part(inputs=inputs, **over, **parts), **behind, **out)[0]
