"""Audio encoder: causal transformer with a sliding window, in batch and in streaming alike."""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
import mlx.nn as nn

from ...cache import RingKVCache
from .. import rope
from ..layers import Block, add_norm
from .config import EncoderConfig


class Encoder(nn.Module):
    """``norm(blocks(x))``.

    Args:
        config: Sizes and window.
        blocks: The layers.
        norm: Gain of the final norm ``[D]``.
    """

    def __init__(self, config: EncoderConfig, blocks: list[Block], norm: mx.array) -> None:
        super().__init__()
        self.config, self.blocks, self.norm = config, blocks, norm

    def new_caches(self, offset: int = 0) -> list[RingKVCache]:
        """One empty cache a layer; their commits are spread over the steps."""
        n = len(self.blocks)
        return [RingKVCache(self.config.window, offset=offset, phase=i / n) for i in range(n)]

    def __call__(self, x: mx.array, caches: Sequence[RingKVCache] | None = None) -> mx.array:
        """``[B, T, D]`` to the same shape.

        Args:
            x: Frames from the conv stem: all of them, or with ``caches`` those behind what the caches have seen.
            caches: From ``new_caches``; changed in place.
        """
        c = self.config
        offset = caches[0].offset if caches else 0
        tables = rope.tables(offset, x.shape[1], c.head_dim, c.rope_theta)
        delta = None
        for i, block in enumerate(self.blocks):
            x, delta = block(x, delta, tables, caches[i] if caches else None)
        return add_norm(x, delta, self.norm, c.norm_eps)[0]
