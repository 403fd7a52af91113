"""Key/value caches: `RingKVCache` (a bounded window) and `LinearKVCache` (everything), one interface; `RingSlots`."""

from __future__ import annotations

from .bits import check_bits
from .computed import evaluate
from .kv_cache import GROWTH, KVCache
from .linear import LinearKVCache
from .ring import RingKVCache
from .rows import CacheRows
from .slots import RingSlots, SlotKVCache

__all__ = [
    "GROWTH",
    "CacheRows",
    "KVCache",
    "LinearKVCache",
    "RingKVCache",
    "RingSlots",
    "SlotKVCache",
    "check_bits",
    "evaluate",
]
