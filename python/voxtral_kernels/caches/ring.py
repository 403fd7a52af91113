"""The cache of a bounded window."""

from __future__ import annotations

from .. import _check
from .kv_cache import KVCache


class RingKVCache(KVCache):
    """Keys and values of the last ``window`` positions: memory is flat however long the stream.

    Exact for any mix of chunk lengths, before, at and after the wrap, chunks longer than the window included.

    Args:
        window: Visible keys including the query's own, >= 1.
        bits: 8: what is committed to the ring is held in signed bytes, each row of D with a float32 scale, and takes
            half the memory and traffic of 16 bits; attention is exact over the values so held. The newest positions
            stay in their dtype until a commit. 16: the dtype of the keys, whichever it is.
        offset: Absolute position of the first token.
        phase: From 0 to below 1: how much sooner than usual the first commit comes. Give each layer of a model
            another one, so that their commits spread over the steps.
        lazy: True: a call leaves its appends uncomputed, as stock MLX ops do. Evaluate `state` before another thread
            goes on; one evaluation for all layers of a model costs less than one a layer.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, window: int, *, bits: int = 16, offset: int = 0, phase: float = 0.0, lazy: bool = False) -> None:
        self.window = _check.integer("RingKVCache", "window", window, 1)
        super().__init__(bits=bits, offset=offset, phase=phase, lazy=lazy)
