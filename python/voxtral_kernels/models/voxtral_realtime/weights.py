"""Loads a checkpoint of any layout: configuration and headers are checked in full first, then the layers are packed."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx

from .. import weights
from ..ranks import Ranks
from ..weights import block_shapes
from . import layouts
from .adapter import Adapter
from .config import Config
from .conv_stem import ConvStem
from .decoder import Decoder
from .encoder import Encoder


def tensor_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor, as the converted layout stores them unquantised."""
    e, d = config.encoder, config.decoder
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.conv1.weight": (e.dim, 3, e.n_mels),
        "encoder.conv1.bias": (e.dim,),
        "encoder.conv2.weight": (e.dim, 3, e.dim),
        "encoder.conv2.bias": (e.dim,),
        "encoder.norm.weight": (e.dim,),
        "adapter.w_in.weight": (d.dim, e.dim * config.downsample),
        "adapter.w_out.weight": (d.dim, d.dim),
        "language_model.embed_tokens.weight": (d.vocab_size, d.dim),
        "language_model.norm.weight": (d.dim,),
    }
    for i in range(e.n_layers):
        layer = f"encoder.layers.{i}."
        shapes |= block_shapes(layer, e)
        for name in ("attention.q_proj", "attention.v_proj", "attention.o_proj", "mlp.down_proj"):
            shapes[f"{layer}{name}.bias"] = shapes[f"{layer}{name}.weight"][:1]
    for i in range(d.n_layers):
        layer = f"language_model.layers.{i}."
        shapes |= block_shapes(layer, d)
        shapes[f"{layer}ada_norm.linear_in.weight"] = (d.cond_dim, d.dim)
        shapes[f"{layer}ada_norm.linear_out.weight"] = (d.dim, d.cond_dim)
    return shapes


class Weights(weights.Weights):
    """A checked checkpoint of any layout, its tensors lazily by the converted layout's names.

    Args:
        folder: A model's folder.
        dtype: Of the floating tensors; None for the checkpoint's own, that of its attention projections.
        ranks: See `weights.Weights`.

    Raises:
        ValueError: the configuration, a file or a tensor is not what it should be.
    """

    def __init__(self, folder: Path, dtype: mx.Dtype | None = None, ranks: Ranks | None = None) -> None:
        layout, section = layouts.detect(folder)
        super().__init__(folder, layout, section, lambda config, _: tensor_shapes(config), dtype, ranks)


def build(w: Weights) -> tuple[ConvStem, Encoder, Adapter, Decoder]:
    """The model's stages from a checked checkpoint."""
    e, d = w.config.encoder, w.config.decoder
    conv1, conv2 = ([w.array(f"encoder.{name}.{part}") for part in ("weight", "bias")] for name in ("conv1", "conv2"))
    stem = ConvStem(conv1[0], conv1[1], conv2[0], conv2[1], w.ranks)
    encoder_blocks = [w.block(f"encoder.layers.{i}.", e) for i in range(e.n_layers)]
    encoder = Encoder(w.share(e), encoder_blocks, w.array("encoder.norm.weight"))
    adapter = Adapter(w.linear("adapter.w_in"), w.linear("adapter.w_out"), w.config.downsample)
    layers = [f"language_model.layers.{i}." for i in range(d.n_layers)]
    blocks = [w.block(layer, d) for layer in layers]
    conditioning = [(w.linear(f"{x}ada_norm.linear_in"), w.linear(f"{x}ada_norm.linear_out")) for x in layers]
    embedding = w.matrix("language_model.embed_tokens")
    decoder = Decoder(w.share(d), embedding, blocks, conditioning, w.array("language_model.norm.weight"))
    w.evaluate(stem.parameters(), encoder.parameters(), adapter.parameters(), decoder.parameters())
    return stem, encoder, adapter, decoder
