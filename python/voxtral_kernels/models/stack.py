"""A stack of transformer layers with rotary positions: what the decoders and the causal encoder have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from ..caches import KVCache, LinearKVCache, RingKVCache
from . import rope
from .layers import Block, add_norm


class Stack(nn.Module):
    """``norm(blocks(x))``.

    Args:
        config: With ``head_dim``, ``rope_theta``, ``norm_eps`` and ``window`` (None: plain causal).
        blocks: The layers.
        norm: Gain of the final norm ``[D]``.
    """

    def __init__(self, config: Any, blocks: list[Block], norm: mx.array) -> None:
        super().__init__()
        self.config, self.blocks, self.norm = config, blocks, norm

    def new_caches(self, offset: int = 0, *, lazy: bool = False) -> list[KVCache]:
        """One empty cache a layer; their commits are spread over the steps.

        Args:
            offset: Absolute position of the first token.
            lazy: See `RingKVCache`.
        """
        n, window = len(self.blocks), self.config.window
        if window is None:
            return [LinearKVCache(offset=offset, phase=i / n, lazy=lazy) for i in range(n)]
        return [RingKVCache(window, offset=offset, phase=i / n, lazy=lazy) for i in range(n)]

    def __call__(
        self, x: mx.array, caches: Sequence[KVCache] | None = None, scales: Sequence[mx.array] | None = None
    ) -> mx.array:
        """``[B, L, D]`` to normed hidden states of the same shape.

        Args:
            x: All positions, or with ``caches`` those behind what the caches have seen.
            caches: From ``new_caches``; changed in place.
            scales: Each layer's conditioning ``[D]``, see `Block`.
        """
        c = self.config
        offset = caches[0].offset if caches else 0
        tables = rope.tables(offset, x.shape[1], c.head_dim, c.rope_theta)
        delta = None
        for i, block in enumerate(self.blocks):
            x, delta = block(x, delta, tables, caches[i] if caches else None, scales[i] if scales else None)
        return add_norm(x, delta, self.norm, c.norm_eps)[0]
