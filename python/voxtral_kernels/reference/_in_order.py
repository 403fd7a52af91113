"""The keys of attention one after the other, for stock ops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlx.core as mx
import numpy as np

if TYPE_CHECKING:
    from .sliding_window_attention import SlidingWindowAttention


def in_order_of_use(r: SlidingWindowAttention, block: int) -> tuple[mx.array, mx.array, np.ndarray]:
    """Keys, values and the position of each: ring then tail. In position order when the call is longer than a
    block of queries, or unwrapped."""
    tail = np.arange(r.ring_end, r.ring_end + r.tail_k.shape[2])
    if r.ring is None or r.ring_end == 0:
        return r.tail_k, r.tail_v, tail
    capacity = r.ring.shape[3]
    if r.ring_end <= capacity:
        ring, positions = r.ring[..., : r.ring_end, :], np.arange(r.ring_end)
    else:
        slots = np.arange(capacity)
        ring, positions = r.ring, r.ring_end - 1 - (r.ring_end - 1 - slots) % capacity
        if r.q.shape[2] > block:
            turn = r.ring_end % capacity
            ring = mx.concatenate([ring[..., turn:, :], ring[..., :turn, :]], axis=3)
            positions = np.sort(positions)
    keys = mx.concatenate([ring[0], r.tail_k], axis=2)
    values = mx.concatenate([ring[1], r.tail_v], axis=2)
    return keys, values, np.concatenate([positions, tail])
