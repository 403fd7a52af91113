"""The caches of one layer in several streams: rows of one step, each at its own stream's position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from ..backends import plan
from ..backends.plan import Heads, Plans
from . import together
from .kv_cache import KVCache
from .slots import SlotKVCache


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
        """As `KVCache._attend`: rows of all streams are projected together, neighbours in one `RingSlots` that bring
        equally many attend in one call, any other stream by itself."""
        n_heads, n_kv_heads, dim = heads[:3]
        q, k, v = plans.heads(heads)(*qkv, rotation, None, None, n_heads, n_kv_heads)
        made, out, at = Heads(n_heads, n_kv_heads, dim, packed=False, rotates=False), [], 0
        for caches, n in self._groups():
            rows = len(caches) * n
            whole = rows == q.shape[0]
            of = (q, k, v) if whole else tuple(a[at : at + rows] for a in (q, k, v))
            out.append(_attended(caches, n, plans, made, of, window, scale))
            at += rows
        return out[0] if len(out) == 1 else mx.concatenate(out)

    def _groups(self) -> list[tuple[list[KVCache], int]]:
        """Those that attend together, and how many positions each of them brings."""
        found: list[tuple[list[KVCache], int]] = []
        slots = None
        for cache, n in zip(self._caches, self._counts, strict=True):
            own = cache.slots if isinstance(cache, SlotKVCache) else None
            if own is not None and own is slots and found[-1][1] == n:
                found[-1][0].append(cache)
            else:
                found.append(([cache], n))
            slots = own
        return found


def _attended(
    caches: list[KVCache],
    n: int,
    plans: Plans,
    heads: Heads,
    qkv: tuple[mx.array, ...],
    window: int | None,
    scale: float,
) -> mx.array:
    """Of rows ``[B * n, H, 1, D]``, B streams one after the other."""
    q, k, v = qkv
    plans = plan.plans(len(caches), n, plans.dtype)
    if isinstance(caches[0], SlotKVCache):
        if n > 1:
            q = mx.unflatten(q[:, :, 0], 0, (len(caches), n)).transpose(0, 2, 1, 3)
        return together.attend(caches, plans, heads, q, k, v, window, scale)  # type: ignore[arg-type]
    if n > 1:
        q, k, v = (a.transpose(2, 1, 0, 3) for a in qkv)
    return caches[0]._attend(plans, heads, (q, k, v), None, window, scale)
