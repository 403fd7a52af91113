"""Key/value caches: `RingKVCache` (a bounded window) and `LinearKVCache` (everything), one interface."""

from __future__ import annotations

from .bits import check_bits
from .kv_cache import GROWTH, KVCache, evaluate
from .linear import LinearKVCache
from .ring import RingKVCache

__all__ = ["GROWTH", "KVCache", "LinearKVCache", "RingKVCache", "check_bits", "evaluate"]
