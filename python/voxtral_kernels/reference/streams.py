"""Several streams in one call of attention, each at a position of its own.

Each of the batch is then a stream. ``streams`` ``[B, 4]``, int32, says where it stands: its slot of the ring
``[2, S, Hkv, C, D]``, where its committed positions end, and which rows of the tail are its own: the first and how
many. The tail is ``[T, Hkv, 1, D]``, a row a position, the streams one behind the other in any order.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import mlx.core as mx
import numpy as np

from . import ring as rings

if TYPE_CHECKING:
    from .sliding_window_attention import SlidingWindowAttention

# Where one stream stands: slot, ring end, first row of the tail, rows of the tail.
Where = tuple[int, int, int, int]


@functools.lru_cache(maxsize=256)
def table(where: tuple[Where, ...]) -> mx.array:
    """``[B, 4]``, int32; the layers of a step ask for the same."""
    return mx.array(np.array(where, np.int32))


def listed(streams: mx.array) -> list[Where]:
    """What a table says."""
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in np.array(streams)]


def alone(r: SlidingWindowAttention) -> list[SlidingWindowAttention]:
    """Each stream's call as if there were no other."""
    assert r.streams is not None
    found = []
    for i, (slot, end, first, length) in enumerate(listed(r.streams)):
        k, v = (a[first : first + length].transpose(2, 1, 0, 3) for a in (r.tail_k, r.tail_v))
        ring = rings.slot(r.ring, slot) if r.ring is not None and end else None
        found.append(replace(r, q=r.q[i : i + 1], ring=ring, ring_end=end, tail_k=k, tail_v=v, streams=None))
    return found


def together(requests: Sequence[SlidingWindowAttention]) -> SlidingWindowAttention:
    """One call of streams that stand alone, all of one form; the last has the first slot, and one slot is nobody's."""
    like = next((r.ring for r in requests if r.ring is not None), None)
    ring = None
    if like is not None:
        held = [mx.zeros_like(like) if r.ring is None else r.ring for r in (*requests, requests[0])]
        ring = rings.side_by_side(held[::-1])
    where, first = list[Where](), 0
    tails = [(r.tail_k, r.tail_v) for r in requests]
    for i, r in enumerate(requests):
        where.append((len(requests) - i, r.ring_end, first, r.tail_k.shape[2]))
        first += r.tail_k.shape[2]
    k, v = (mx.concatenate([r[i].transpose(2, 1, 0, 3) for r in tails]) for i in (0, 1))
    q = mx.concatenate([r.q for r in requests])
    end = max(r.ring_end for r in requests)
    return replace(requests[0], q=q, ring=ring, ring_end=end, tail_k=k, tail_v=v, streams=table(tuple(where)))


def commit(ring: mx.array, streams: mx.array, k: mx.array, v: mx.array) -> mx.array:
    """The ring with each stream's rows of ``k`` and ``v`` ``[T, Hkv, 1, D]`` written behind what its slot holds.

    Returns:
        A new ring; the one given keeps its values.
    """
    for slot, end, first, length in listed(streams):
        rows = (a[first : first + length].transpose(2, 1, 0, 3) for a in (k, v))
        ring = rings.with_slot(ring, slot, rings.commit(rings.slot(ring, slot), end, *rows))
    return ring
