"""Launches ``kernels/sliding_window_attention_{vector,staged,tiled}.metal``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx

from ..backends.source import Factory, floats, ints
from ..reference.sliding_window_attention import SlidingWindowAttention, from_sequence
from ..reference.streams import together
from ._attention_launches import form, template
from ._attention_variants import bits_of, cpu_variant, splits_at, variant
from ._canary import normal

__all__ = ["canary", "cpu_variant", "launch", "prepare", "splits_at", "template", "unsupported", "variant"]
VARIANTS = ("vector", "vector_split", "staged", "staged_split", "tiled")
NO_WINDOW = 1 << 30


def unsupported(r: SlidingWindowAttention) -> list[str]:
    """Sentences that say why the kernels cannot serve the request; empty when they can."""
    dim = r.q.shape[3]
    fits = dim % 16 == 0 and dim <= 256
    return [] if fits else [f"D = {dim}; the kernels take multiples of 16 up to 256."]


def canary(r: SlidingWindowAttention) -> SlidingWindowAttention:
    """A small request with the same template arguments: a wrapped ring, a tail, a window shorter than what is kept."""
    name, group, dim = variant(r)[0], r.q.shape[1] // r.tail_k.shape[1], r.q.shape[3]
    length = -(-40 // group) if name == "tiled" else r.q.shape[2]
    window, past = (600, 700) if name.endswith("_split") else (21, 50)
    q = normal(0, (1, group, length, dim), r.q.dtype)
    k, v = (normal(seed, (1, 1, past + length, dim), r.q.dtype) for seed in (1, 2))

    def at(past: int) -> SlidingWindowAttention:
        end, all_k, all_v = 0 if r.ring is None else past - 3, k[:, :, : past + length], v[:, :, : past + length]
        return from_sequence(q, all_k, all_v, window, end, window + length + 7, bits_of(r))

    return at(past) if r.streams is None else together([at(past), at(past // 2)])


def launch(r: SlidingWindowAttention, factory: Factory, stream: mx.Stream | mx.Device | None) -> mx.array:
    """``[B, Hq, L, D]``, a view of the ``[B, L, Hq, D]`` that the kernels write; or that as rows."""
    tail_k, tail_v = (mx.contiguous(a, stream=stream) for a in (r.tail_k, r.tail_v))
    ring = None if r.ring is None else mx.contiguous(r.ring, stream=stream)
    attend = prepare(r, factory, stream)
    return attend(r.q, ring, r.ring_end, tail_k, tail_v, r.window, r.scale, r.as_rows, r.streams)


def prepare(
    r: SlidingWindowAttention, factory: Factory, stream: mx.Stream | mx.Device | None
) -> Callable[..., mx.array]:
    """`launch` for every request of this form, by its fields; ring and tails are row-contiguous, as a cache's are."""
    moving = splits_at(r)
    forms: dict[int, Callable[[list[Any]], mx.array]] = {}

    def attend(
        q: mx.array,
        ring: Any,
        ring_end: int,
        tail_k: mx.array,
        tail_v: mx.array,
        window: Any,
        scale: float,
        _: bool,
        streams: mx.array | None = None,
    ) -> mx.array:
        # How many threadgroups share the keys is all that moves with the stream.
        splits = moving(ring_end, tail_k.shape[2 if streams is None else 0])
        if splits not in forms:
            forms[splits] = form(r, splits, factory, stream)
        state = ints(ring_end, NO_WINDOW if window is None else min(window, NO_WINDOW))
        where = ints(0, 0, 0, 0) if streams is None else streams
        y = forms[splits]([q, tail_k if ring is None else ring, tail_k, tail_v, state, where, floats(scale)])
        return y if r.as_rows else y.transpose(0, 2, 1, 3)

    return attend
