"""Key/value caches: `RingKVCache` (a bounded window) and `LinearKVCache` (everything), one interface."""

from __future__ import annotations

from .bits import check_bits
from .kv_cache import GROWTH, KVCache, evaluate
from .linear import LinearKVCache
from .ring import RingKVCache
from .rows import CacheRows

__all__ = ["GROWTH", "CacheRows", "KVCache", "LinearKVCache", "RingKVCache", "check_bits", "evaluate"]
