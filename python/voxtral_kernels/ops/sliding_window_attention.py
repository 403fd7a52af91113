"""Attention over a sliding window, straight out of a rotating cache, the public op."""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx

from .. import _check
from ..backends import select, transforms
from ..caches import KVCache, together
from ..caches.slots import checked
from ..reference.sliding_window_attention import SlidingWindowAttention

OP = "sliding_window_attention"


def sliding_window_attention(
    q: mx.array,
    k: mx.array,
    v: mx.array,
    *,
    scale: float | None = None,
    window: int | None = None,
    cache: KVCache | Sequence[KVCache] | None = None,
    stream: mx.Stream | mx.Device | None = None,
) -> mx.array:
    """Causal attention in which a query at position p sees keys ``p - window + 1 .. p``.

    With window 3 (rows: queries, columns: keys, 1: visible; the window counts the query's own key)::

        1 0 0 0 0
        1 1 0 0 0
        1 1 1 0 0
        0 1 1 1 0
        0 0 1 1 1

    Validates, appends ``k`` and ``v`` to the cache, attends. An error leaves the cache unchanged.

    Args:
        q: Queries of the newest L positions, already rotated, ``[B, Hq, L, D]``, float32, float16 or bfloat16.
        k: Keys of the same positions, already rotated, ``[B, Hkv, L, D]``, Hq a multiple of Hkv, dtype of ``q``.
        v: Values, shape and dtype of ``k``.
        scale: Factor of the scores; None for ``D**-0.5``.
        window: Visible keys including the query's own, >= 1. None for the cache's window, or plain causal without
            a cache.
        cache: `RingKVCache` or `LinearKVCache` that holds the earlier positions; None for a call that stands alone.
            Or a list of caches from one `RingSlots`: then each of B is a stream, at the position of its own cache, and
            its result does not depend on the others.
        stream: Stream or device to run on; None for MLX's default.

    Returns:
        ``[B, Hq, L, D]``, dtype of ``q``; softmax and sums in float32. Keys and values that a query does not see never
        reach its result, NaN and infinities included; those that it sees count as in IEEE arithmetic.

    Raises:
        ValueError: a shape or dtype differs from the above or from the cache's; a window that disagrees with the
            cache; an infinity or NaN for a cache of 8 bits; a cached call inside ``mx.compile``, ``mx.grad`` or
            ``mx.vmap``.
        RuntimeError: another call is inside the cache, which is unchanged then.

    Source: sliding-window attention, Beltagy et al. 2020; online softmax, Milakov & Gimelshein 2018. Defined in
    ``reference/sliding_window_attention.py``.
    """
    if isinstance(cache, (list, tuple)):
        streams = checked(cache)
        with streams[0].inside:
            r = request(q, k, v, scale=scale, window=window, cache=streams, stream=stream)
            choice = select.select(OP, r, stream)
            out = choice.implementation.run(r, stream)
            together.advance(streams, r, out, choice.implementation, stream)
        return out
    if not isinstance(cache, KVCache):
        return select.run(OP, request(q, k, v, scale=scale, window=window, cache=cache, stream=stream), stream)
    with cache.inside:
        r = request(q, k, v, scale=scale, window=window, cache=cache, stream=stream)
        choice = select.select(OP, r, stream)
        out = choice.implementation.run(r, stream)
        cache._advance(r, out, choice.implementation, stream)
    return out


def request(
    q: mx.array,
    k: mx.array,
    v: mx.array,
    *,
    scale: float | None = None,
    window: int | None = None,
    cache: KVCache | Sequence[KVCache] | None = None,
    stream: mx.Stream | mx.Device | None = None,
) -> SlidingWindowAttention:
    """The checked call; the cache is not changed."""
    _check.floating(OP, q=q, k=k, v=v)
    for name, a, layout in (("q", q, "[B, Hq, L, D]"), ("k", k, "[B, Hkv, L, D]"), ("v", v, "[B, Hkv, L, D]")):
        _check.ndim(OP, name, a, layout)
    if min(q.shape) < 1:
        raise _check.fail(OP, "q", "[B, Hq, L, D], each at least 1", f"shape {q.shape}")
    batch, heads, length, dim = q.shape
    kv_heads = k.shape[1]
    if kv_heads < 1 or heads % kv_heads:
        raise _check.fail(OP, "k", f"Hkv that divides Hq = {heads}", f"Hkv = {kv_heads}")
    for name, a in (("k", k), ("v", v)):
        _check.shape(OP, name, a, (batch, kv_heads, length, dim))
        _check.dtype(OP, name, a, q.dtype)
    scale = dim**-0.5 if scale is None else _check.positive(OP, "scale", scale)
    if window is not None:
        window = _check.integer(OP, "window", window, 1)
    if cache is None:
        return SlidingWindowAttention(q, None, 0, k, v, window, scale)
    streams = checked(cache) if isinstance(cache, (list, tuple)) else None
    held = cache if streams is None else streams[0]
    if not isinstance(held, KVCache):
        raise _check.fail(OP, "cache", "a RingKVCache or LinearKVCache", type(cache).__name__)
    if window is not None and window != held.window:
        expected = "None, as the cache has no window" if held.window is None else f"the cache's {held.window} or None"
        raise _check.fail(OP, "window", expected, window)
    if transforms.in_transformation(q, k, v):
        raise _check.fail(OP, "cache", "None inside mx.compile, mx.grad or mx.vmap", type(held).__name__)
    held._refuse_infinite(OP, k, v)
    if streams is None:
        return held._request(q, k, v, scale, stream)
    return together.request(streams, q, k, v, scale)


# Public name -> its checked call, for `explain`.
REQUESTS = {"sliding_window_attention": request}
