"""The caches of one layer in several streams: rows of one step, each at its own stream's position."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import mlx.core as mx

from ..backends import plan
from ..backends.plan import Heads, Plans
from .kv_cache import KVCache


class CacheRows:
    """What a layer attends behind in a step of several streams.

    Args:
        caches: The layer's cache in each stream.
        counts: Newest positions of each stream among the step's rows, which stand one stream after the other.
    """

    def __init__(self, caches: Sequence[KVCache], counts: Sequence[int]) -> None:
        self._caches, self._counts = caches, counts

    @property
    def offset(self) -> int:
        """Absolute position of the first row."""
        return self._caches[0].offset

    def runs(self, length: int) -> list[tuple[int, int]]:
        """Position and number of each stream's rows; ``length`` is 1."""
        return [(cache.offset, n * length) for cache, n in zip(self._caches, self._counts, strict=True)]

    def _attend(
        self,
        plans: Plans,
        heads: Heads,
        qkv: tuple[Any, ...],
        rotation: mx.array | None,
        window: int | None,
        scale: float,
    ) -> mx.array:
        """As `KVCache._attend`: rows of all streams are projected together, each stream attends alone."""
        n_heads, n_kv_heads, dim = heads[:3]
        parts = plans.heads(heads)(*qkv, rotation, None, None, n_heads, n_kv_heads)
        ends = list(accumulate(self._counts))[:-1]
        split = [mx.split(part, ends) if ends else [part] for part in parts]
        made, out = Heads(n_heads, n_kv_heads, dim, packed=False, rotates=False), []
        for cache, n, *qkv_of in zip(self._caches, self._counts, *split, strict=True):
            # [n, H, 1, D] of n rows are [1, H, n, D] of one stream.
            own = tuple(a if n == 1 else a.transpose(2, 1, 0, 3) for a in qkv_of)
            out.append(cache._attend(plan.plans(1, n, plans.dtype), made, own, None, window, scale))
        return out[0] if len(out) == 1 else mx.concatenate(out)
