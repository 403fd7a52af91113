"""Delay-conditioned decoder with a tied head."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mlx.core as mx
import numpy as np

from ...backends.select import device_type
from ...caches import KVCache
from ..block import Block
from ..layers import Linear, Matrix, gelu, head
from ..stack import Stack
from .config import DecoderConfig

_TIME_THETA = 10000.0


def time_embedding(delay: int, dim: int, dtype: mx.Dtype) -> mx.array:
    """Sinusoidal embedding of the delay in tokens, ``[dim]`` in ``dtype``: cosines, then sines.

    Each step is rounded to ``dtype``, as the reference's arithmetic in that dtype does.
    """
    half = dim // 2
    frequencies = np.exp(np.float32(-math.log(_TIME_THETA)) * np.arange(half, dtype=np.float32) / np.float32(half))
    with mx.stream(mx.cpu):
        angles = (mx.array(frequencies).astype(dtype) * mx.array(delay, dtype)).astype(mx.float32)
        return mx.concatenate([mx.cos(angles), mx.sin(angles)]).astype(dtype)


class Decoder(Stack):
    """Token embeddings plus audio embeddings to logits.

    Args:
        config: Sizes and window.
        embedding: Token embeddings ``[vocab_size, D]``, the head too.
        blocks: The layers.
        conditioning: For each layer the two matrices of its delay conditioning, ``D`` to ``cond_dim`` and back.
        norm: Gain of the final norm ``[D]``.
    """

    def __init__(
        self,
        config: DecoderConfig,
        embedding: Matrix,
        blocks: list[Block],
        conditioning: list[tuple[Linear, Linear]],
        norm: mx.array,
    ) -> None:
        super().__init__(config, blocks, norm)
        self.embedding = embedding
        self.conditioning = [list(pair) for pair in conditioning]

    def scales(self, delay: int, time_dtype: mx.Dtype) -> list[mx.array]:
        """Each layer's conditioning ``W2 gelu(W1 t)`` for a delay in tokens, ``[D]``: constant for a session.

        Args:
            delay: Tokens.
            time_dtype: Arithmetic of the time embedding ``t``; the published error rates used bfloat16.
        """
        t = time_embedding(delay, self.config.dim, time_dtype).astype(self.norm.dtype)[None]
        vectors = [up(gelu(down(t)))[0] for down, up in self.conditioning]
        mx.eval(vectors)
        return vectors

    def __call__(  # type: ignore[override]
        self,
        x: mx.array,
        scales: Sequence[mx.array],
        caches: Sequence[KVCache] | None = None,
        *,
        at_once: bool = False,
    ) -> mx.array:
        """``[B, L, D]`` to normed hidden states of the same shape.

        Args:
            x: Token plus audio embeddings of all positions, or with ``caches`` of those behind what they have seen.
            scales: From ``scales``.
            caches: From ``new_caches``; changed in place.
            at_once: As for `Stack`.
        """
        return super().__call__(x, caches, scales, at_once=at_once)

    def embed(self, ids: mx.array) -> mx.array:
        """Token embeddings: ids ``[B, L]`` to ``[B, L, D]``."""
        return self.embedding.take(ids)

    def logits(self, hidden: mx.array) -> mx.array:
        """The tied head: ``[B, L, D]`` to ``[B, L, vocab_size]``."""
        return head(self.embedding, hidden)

    def likeliest(self, hidden: mx.array) -> mx.array:
        """The id of the greatest logit: ``[B, L, D]`` to ``[B, L]``."""
        return self.embedding.likeliest(hidden, self.logits)

    def likeliest_and_text(self, hidden: mx.array, n_special: int) -> tuple[mx.array, mx.array]:
        """`likeliest`, and the likeliest of the ids from ``n_special`` on, counted from there, ``[B, L]`` each."""
        logits = self.logits(hidden)
        if device_type(None) == mx.cpu:
            logits = logits.astype(mx.float32)  # MLX compares 16 bits there at a third of the speed
        return mx.argmax(logits, axis=-1), mx.argmax(logits[..., n_special:], axis=-1)
