"""What caches hold is computed on the thread that made it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mlx.core as mx

from .kv_cache import KVCache


def evaluate(caches: Iterable[KVCache], *more: Any) -> None:
    """Compute what the caches hold, and ``more`` with it: what is left uncomputed only this thread can finish."""
    held = {id(a): a for cache in caches for a in cache._arrays()}
    mx.eval(list(held.values()), *more)
