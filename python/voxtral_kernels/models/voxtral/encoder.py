"""Audio encoder: Whisper's, every frame of a chunk sees every other."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from ..layers import Linear, gelu
from .config import EncoderConfig
from .conv_stem import ConvStem

# The reference keeps float16 this far from infinity after each layer.
_FLOAT16_LIMIT = 65504.0 - 1000.0


class LayerNorm(nn.Module):
    """``(x - mean) / sqrt(var + eps) * weight + bias``, each ``[D]``."""

    def __init__(self, weight: mx.array, bias: mx.array, eps: float) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = weight, bias, eps

    def __call__(self, x: mx.array) -> mx.array:
        return mx.fast.layer_norm(x, self.weight, self.bias, self.eps)


class EncoderBlock(nn.Module):
    """Pre-norm layer: attention without a mask, then ``down(gelu(up(x)))``.

    Args:
        attention_norm, mlp_norm: The norms.
        q, k, v, out: Projections of the attention, packed to one matmul but ``out``.
        up, down: The MLP.
        n_heads: Heads.
    """

    def __init__(
        self,
        attention_norm: LayerNorm,
        q: Linear,
        k: Linear,
        v: Linear,
        out: Linear,
        mlp_norm: LayerNorm,
        up: Linear,
        down: Linear,
        n_heads: int,
    ) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = attention_norm, mlp_norm
        self.qkv, self.out, self.up, self.down = Linear.packed([q, k, v]), out, up, down
        self.n_heads = n_heads

    def __call__(self, x: mx.array) -> mx.array:
        """``[B, T, D]`` to the same shape."""
        x = x + self._attend(self.attention_norm(x))
        x = x + self.down(gelu(self.up(self.mlp_norm(x))))
        return mx.clip(x, -_FLOAT16_LIMIT, _FLOAT16_LIMIT) if x.dtype == mx.float16 else x

    def _attend(self, x: mx.array) -> mx.array:
        batch, length, _ = x.shape
        heads = self.qkv(x).reshape(batch, length, 3 * self.n_heads, -1).transpose(0, 2, 1, 3)
        q, k, v = mx.split(heads, 3, axis=1)
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=q.shape[-1] ** -0.5)
        return self.out(y.transpose(0, 2, 1, 3).reshape(batch, length, -1))


class Encoder(nn.Module):
    """``norm(blocks(stem(mel)))``.

    Args:
        config: Sizes.
        stem: Conv stem with its positions.
        blocks: The layers.
        norm: The final norm.
    """

    def __init__(self, config: EncoderConfig, stem: ConvStem, blocks: list[EncoderBlock], norm: LayerNorm) -> None:
        super().__init__()
        self.config, self.stem, self.blocks, self.norm = config, stem, blocks, norm

    def __call__(self, mel: mx.array) -> mx.array:
        """Log-mel chunks ``[B, F, n_mels]`` to ``[B, ceil(F / 2), D]``, each chunk by itself.

        Raises:
            ValueError: as `ConvStem`.
        """
        x = self.stem(mel)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)
