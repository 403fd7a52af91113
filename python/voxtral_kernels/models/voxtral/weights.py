"""Loads a checkpoint of any layout: configuration and headers are checked in full first, then the layers are packed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import numpy as np

from ...backends import planned
from .. import weights
from ..ranks import Ranks
from ..weights import block_shapes
from . import layouts
from .config import Config
from .conv_stem import ConvStem
from .decoder import Decoder
from .encoder import Encoder, EncoderBlock, LayerNorm
from .projector import Projector

POSITIONS, _HEAD = "encoder.positions.weight", "language_model.head.weight"


def tensor_shapes(config: Config, has: Callable[[str], bool]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor, unquantised and in MLX's order.

    Args:
        config: Sizes.
        has: Whether the checkpoint has a tensor: the original layout has no positions, a tied model no head.
    """
    e, d = config.encoder, config.decoder
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.conv1.weight": (e.dim, 3, e.n_mels),
        "encoder.conv1.bias": (e.dim,),
        "encoder.conv2.weight": (e.dim, 3, e.dim),
        "encoder.conv2.bias": (e.dim,),
        "encoder.norm.weight": (e.dim,),
        "encoder.norm.bias": (e.dim,),
        "adapter.w_in.weight": (d.dim, e.dim * config.downsample),
        "adapter.w_out.weight": (d.dim, d.dim),
        "language_model.embed_tokens.weight": (d.vocab_size, d.dim),
        "language_model.norm.weight": (d.dim,),
    }
    if has(POSITIONS):
        shapes[POSITIONS] = (e.max_positions, e.dim)
    if has(_HEAD) or d.tied is False:
        shapes[_HEAD] = (d.vocab_size, d.dim)
    for i in range(e.n_layers):
        shapes |= _encoder_block_shapes(f"encoder.layers.{i}.", e.dim, e.hidden_dim)
    for i in range(d.n_layers):
        shapes |= block_shapes(f"language_model.layers.{i}.", d)
    return shapes


def _encoder_block_shapes(layer: str, dim: int, hidden: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {f"{layer}attention.{part}_proj.weight": (dim, dim) for part in "qkvo"}
    shapes |= {f"{layer}mlp.up_proj.weight": (hidden, dim), f"{layer}mlp.down_proj.weight": (dim, hidden)}
    shapes |= {f"{layer}attn_norm.weight": (dim,), f"{layer}ffn_norm.weight": (dim,)}
    biases = {f"{name.removesuffix('weight')}bias": shape[:1] for name, shape in shapes.items() if "k_proj" not in name}
    return shapes | biases


class Weights(weights.Weights):
    """A checked checkpoint of any layout, its tensors lazily by this package's names.

    Args:
        folder: A model's folder.
        dtype: Of the floating tensors; None for the checkpoint's own, that of its attention projections.
        ranks: See `weights.Weights`.

    Raises:
        ValueError: the configuration, a file or a tensor is not what it should be.
    """

    def __init__(self, folder: Path, dtype: mx.Dtype | None = None, ranks: Ranks | None = None) -> None:
        layout, section = layouts.detect(folder)
        super().__init__(folder, layout, section, tensor_shapes, dtype, ranks)

    def positions(self) -> mx.array:
        """The encoder's positions, float32 in any dtype; sinusoids where the file has none.

        Returns:
            ``[max_positions, D]``, or this rank's ``D / ranks`` columns.
        """
        c = self.config.encoder
        if POSITIONS not in self.shapes:
            whole = sinusoids(c.max_positions, c.dim)
        elif self.quantized(POSITIONS):
            whole = self.matrix(POSITIONS.removesuffix(".weight")).take(mx.arange(c.max_positions)).astype(mx.float32)
        else:
            return self.array(POSITIONS, mx.float32)
        return whole if self.ranks is None else mx.contiguous(mx.split(whole, self.ranks.size, axis=1)[self.ranks.rank])

    def norm(self, stem: str) -> LayerNorm:
        """A LayerNorm by its name."""
        return LayerNorm(self.array(f"{stem}.weight"), self.array(f"{stem}.bias"), self.config.encoder.norm_eps)

    def encoder_block(self, layer: str) -> EncoderBlock:
        """One packed encoder layer, evaluated, so that its separate parts can go."""
        q, k, v, out = (self.linear(f"{layer}attention.{part}_proj") for part in "qkvo")
        up, down = self.linear(f"{layer}mlp.up_proj"), self.linear(f"{layer}mlp.down_proj")
        norms = self.norm(f"{layer}attn_norm"), self.norm(f"{layer}ffn_norm")
        block = EncoderBlock(norms[0], q, k, v, out, norms[1], up, down, self.share(self.config.encoder).n_heads)
        self.evaluate(block.parameters())
        return block


def sinusoids(length: int, dim: int) -> mx.array:
    """Whisper's positions ``[length, dim]`` float32: sines, then cosines, of ``t / 10000 ** (i / (dim/2 - 1))``.

    Source: Robust Speech Recognition via Large-Scale Weak Supervision, Radford et al. 2022.
    """
    half = dim // 2
    angles = np.arange(length)[:, None] * 10000.0 ** (-np.arange(half) / max(1, half - 1))
    return mx.array(np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32))


def build(w: Weights) -> tuple[Encoder, Projector, Decoder]:
    """The model's stages from a checked checkpoint."""
    e, d = w.config.encoder, w.config.decoder
    conv1, conv2 = ([w.array(f"encoder.{name}.{part}") for part in ("weight", "bias")] for name in ("conv1", "conv2"))
    stem = ConvStem(conv1[0], conv1[1], conv2[0], conv2[1], w.positions(), w.ranks)
    blocks = [w.encoder_block(f"encoder.layers.{i}.") for i in range(e.n_layers)]
    encoder = Encoder(w.share(e), stem, blocks, w.norm("encoder.norm"))
    projector = Projector(w.linear("adapter.w_in"), w.linear("adapter.w_out"), w.config.downsample)
    layers = [w.block(f"language_model.layers.{i}.", d) for i in range(d.n_layers)]
    embedding = w.matrix("language_model.embed_tokens")
    head = w.matrix(_HEAD.removesuffix(".weight")) if _HEAD in w.shapes else None
    decoder = Decoder(w.share(d), embedding, layers, w.array("language_model.norm.weight"), head)
    w.evaluate(encoder.parameters(), projector.parameters(), decoder.parameters())
    planned.load_all()
    return encoder, projector, decoder
