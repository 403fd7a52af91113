"""Launches ``kernels/sliding_window_attention_{vector,staged,tiled}.metal``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx

from ..backends.source import Factory, floats, ints, kernel
from ..reference.sliding_window_attention import SlidingWindowAttention, from_sequence
from . import _attention_variants as sizes
from ._attention_variants import cpu_variant, splits_at, variant
from ._canary import normal

VECTOR, STAGED = "sliding_window_attention_vector", "sliding_window_attention_staged"
__all__ = ["canary", "cpu_variant", "launch", "prepare", "splits_at", "template", "unsupported", "variant"]
VARIANTS = ("vector", "vector_split", "staged", "staged_split", "tiled")
INPUTS = ("q", "ring", "tail_k", "tail_v", "state", "scale")
NO_WINDOW = 1 << 30


def unsupported(r: SlidingWindowAttention) -> list[str]:
    """Sentences that say why the kernels cannot serve the request; empty when they can."""
    dim = r.q.shape[3]
    if r.streams is not None:
        return ["streams that stand at positions of their own; the kernels take one for all of the batch."]
    fits = dim % 16 == 0 and dim <= 256
    return [] if fits else [f"D = {dim}; the kernels take multiples of 16 up to 256."]


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
    return [("T", r.q.dtype), ("R", held), ("D", r.q.shape[3]), ("HAS_RING", r.ring is not None), *form, *cut]


def _file(r: SlidingWindowAttention) -> str:
    return f"sliding_window_attention_{variant(r)[0].partition('_')[0]}"


def canary(r: SlidingWindowAttention) -> SlidingWindowAttention:
    """A small request with the same template arguments: a wrapped ring, a tail, a window shorter than what is kept."""
    name, group, dim = variant(r)[0], r.q.shape[1] // r.tail_k.shape[1], r.q.shape[3]
    length = -(-40 // group) if name == "tiled" else r.q.shape[2]
    window, past = (600, 700) if name.endswith("_split") else (21, 50)
    q = normal(0, (1, group, length, dim), r.q.dtype)
    k, v = (normal(seed, (1, 1, past + length, dim), r.q.dtype) for seed in (1, 2))
    end = 0 if r.ring is None else past - 3
    return from_sequence(q, k, v, window, end, window + length + 7, sizes.bits_of(r))


def launch(r: SlidingWindowAttention, factory: Factory, stream: mx.Stream | mx.Device | None) -> mx.array:
    """``[B, Hq, L, D]``, a view of the ``[B, L, Hq, D]`` that the kernels write; or that as rows."""
    tail_k, tail_v = (mx.contiguous(a, stream=stream) for a in (r.tail_k, r.tail_v))
    ring = None if r.ring is None else mx.contiguous(r.ring, stream=stream)
    attend = prepare(r, factory, stream)
    return attend(r.q, ring, r.ring_end, tail_k, tail_v, r.window, r.scale, r.as_rows)


def prepare(
    r: SlidingWindowAttention, factory: Factory, stream: mx.Stream | mx.Device | None
) -> Callable[..., mx.array]:
    """`launch` for every request of this form, by its fields; ring and tails are row-contiguous, as a cache's are."""
    moving = splits_at(r)
    forms: dict[int, Callable[[list[Any]], mx.array]] = {}

    def attend(
        q: mx.array, ring: Any, ring_end: int, tail_k: mx.array, tail_v: mx.array, window: Any, scale: float, *_: bool
    ) -> mx.array:
        # How many threadgroups share the keys is all that moves with the stream.
        splits = moving(ring_end, tail_k.shape[2])
        if splits not in forms:
            forms[splits] = _form(r, splits, factory, stream)
        state = ints(ring_end, NO_WINDOW if window is None else min(window, NO_WINDOW))
        y = forms[splits]([q, tail_k if ring is None else ring, tail_k, tail_v, state, floats(scale)])
        return y if r.as_rows else y.transpose(0, 2, 1, 3)

    return attend


def _form(
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
