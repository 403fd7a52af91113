"""The cache of every position."""

from __future__ import annotations

from .kv_cache import KVCache


class LinearKVCache(KVCache):
    """Keys and values of every position: the interface of `RingKVCache`, memory linear in the length.

    Args:
        bits, offset, phase, lazy: As for `RingKVCache`.

    Raises:
        ValueError: an argument is out of its range.
    """
