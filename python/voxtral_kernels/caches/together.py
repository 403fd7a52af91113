"""One call of attention for streams whose rings are slots of one allocation, each at its own position."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import mlx.core as mx

from .. import _check
from ..backends.plan import Heads, Plans
from ..backends.select import Backend
from ..reference import streams as reference
from ..reference.sliding_window_attention import SlidingWindowAttention
from .kv_cache import OP
from .pending import Stream

if TYPE_CHECKING:
    from .slots import RingSlots, SlotKVCache


def request(
    caches: Sequence[SlotKVCache], q: mx.array, k: mx.array, v: mx.array, scale: float
) -> SlidingWindowAttention:
    """The call with ``k`` and ``v`` ``[B, Hkv, L, D]`` behind each stream's tail; the caches are not changed."""
    slots, (batch, kv_heads, length, dim) = caches[0].slots, k.shape
    if any(c.released for c in caches):
        raise _check.fail(OP, "cache", "a slot that is taken", "one that was given back")
    if batch != len(caches):
        raise _check.fail(OP, "q", f"B = {len(caches)}, as many as caches", batch)
    slots._agree(kv_heads, dim, k.dtype)
    k, v = (mx.flatten(a.transpose(0, 2, 1, 3), 0, 1)[:, :, None] for a in (k, v))
    k, v = _behind_tails(caches, length, k, v)
    ends = [c._ring_end for c in caches]
    ring = slots._ring if any(ends) else None
    return SlidingWindowAttention(
        q, ring, max(ends), k, v, slots.window, scale, False, reference.table(_where(caches, length))
    )


def attend(
    caches: Sequence[SlotKVCache],
    plans: Plans,
    heads: Heads,
    q: mx.array,
    k: mx.array,
    v: mx.array,
    window: int | None,
    scale: float,
) -> mx.array:
    """Append and attend below the public op, as `KVCache._attend`.

    Args:
        caches: Of one `RingSlots`.
        plans: For L positions of each stream.
        heads: Neither packed nor rotated.
        q: ``[B, Hq, L, D]``, rotated.
        k, v: ``[B * L, Hkv, 1, D]``, a row a position.
        window: That the caller means; None for the slots'.
        scale: Factor of the scores.

    Returns:
        Rows ``[B * L, Hq * D]``.
    """
    slots, length = caches[0].slots, plans.length
    if window is not None and window != slots.window:
        raise _check.fail(OP, "window", f"the slots' {slots.window}", window)
    with slots.inside:
        if plans not in slots._plans or slots._form is None:
            slots._agree(heads.n_kv_heads, heads.dim, plans.dtype)
            slots._form = heads.n_kv_heads, heads.dim, plans.dtype
            slots._plans.add(plans)
        end = max([c._ring_end for c in caches])
        ring = slots._ring if end else None
        tailed = any(c._tail_length for c in caches)
        where = reference.table(_where(caches, length))
        if tailed:
            k, v = _behind_tails(caches, length, k, v)
        key = heads, window, 0 if ring is None else ring.shape[3], k.shape[0], slots.bits
        _, serve, commit, backend = plans.together(*key)
        out = serve(q, ring, end, k, v, window, scale, True, where)
        if tailed or not backend.in_place:
            _settle(caches, length, k, v, None if tailed else out, backend, None)
        else:
            slots._ring = commit(slots._grown(k, end + length), 0, k, v, out, where)
            for cache in caches:
                cache._moved(length)
        _under_way(slots, caches)
    return out


def advance(
    caches: Sequence[SlotKVCache], r: SlidingWindowAttention, out: mx.array, backend: Backend, stream: Stream
) -> None:
    """Take over the tails of an attended call, and commit those that are long enough."""
    slots = caches[0].slots
    slots._form = r.tail_k.shape[1], r.tail_k.shape[3], r.tail_k.dtype
    after = None if any(c._tail_length for c in caches) else out
    _settle(caches, r.q.shape[2], r.tail_k, r.tail_v, after, backend, stream)
    _under_way(slots, caches)


def take(caches: Sequence[SlotKVCache], length: int, k: mx.array, v: mx.array) -> None:
    """Rows ``[T, Hkv, 1, D]``, each stream's tail with ``length`` new positions, become the caches' tails."""
    for cache, (_, _, first, rows) in zip(caches, _where(caches, length), strict=True):
        cache._tail = tuple(a[first : first + rows].transpose(2, 1, 0, 3) for a in (k, v))  # type: ignore[assignment]
        cache._tail_length = rows


def _settle(
    caches: Sequence[SlotKVCache],
    length: int,
    k: mx.array,
    v: mx.array,
    after: mx.array | None,
    backend: Backend,
    stream: Stream,
) -> None:
    """The tails are the caches' from here on; those that are long enough reach the ring."""
    where = _where(caches, length)
    take(caches, length, k, v)
    due = [c for c in caches if c._due(length, backend)]
    if len(due) < len(caches):
        for cache in due:
            cache._commit_when_due(length, after, backend, stream)
        return
    slots, positions = caches[0].slots, max(end + rows for _, end, _, rows in where)
    with contextlib.nullcontext() if stream is None else mx.stream(stream):
        ring = backend.commit(slots._grown(k, positions), 0, k, v, after, stream, reference.table(where))
    for cache in caches:
        cache._committed(ring)


def _under_way(slots: RingSlots, caches: Sequence[SlotKVCache]) -> None:
    """As `KVCache._under_way`."""
    if not slots.lazy:
        mx.async_eval([a for c in caches for a in c._arrays()])


def _where(caches: Sequence[SlotKVCache], length: int) -> tuple[reference.Where, ...]:
    """Where the streams stand with so many new positions each."""
    found, first = list[reference.Where](), 0
    for cache in caches:
        rows = cache._tail_length + length
        found.append((cache.slot, cache._ring_end, first, rows))
        first += rows
    return tuple(found)


def _behind_tails(caches: Sequence[SlotKVCache], length: int, *new: mx.array) -> list[mx.array]:
    """The tail of all, ``[T, Hkv, 1, D]``, of keys and of values: each stream's rows behind its own."""
    if not any(c._tail_length for c in caches):
        return list(new)
    found = []
    for half, a in enumerate(new):
        rows = list[mx.array]()
        for i, cache in enumerate(caches):
            if cache._tail is not None:
                rows.append(cache._tail[half].transpose(2, 1, 0, 3))
            rows.append(a[i * length : (i + 1) * length])
        found.append(mx.concatenate(rows))
    return found
