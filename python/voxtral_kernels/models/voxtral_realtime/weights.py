"""Loads a checkpoint of any layout: configuration and headers are checked in full first, then the layers are packed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx

from ... import _check
from ..checkpoint import FLOATS, Checkpoint, weight_files
from ..layers import Attention, Block, Linear, Matrix, SwiGLU
from ..section import OP
from . import layouts
from .adapter import Adapter
from .config import Config, DecoderConfig, EncoderConfig, quantization
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
        shapes |= _block_shapes(layer, e)
        for name in ("attention.q_proj", "attention.v_proj", "attention.o_proj", "mlp.down_proj"):
            shapes[f"{layer}{name}.bias"] = shapes[f"{layer}{name}.weight"][:1]
    for i in range(d.n_layers):
        layer = f"language_model.layers.{i}."
        shapes |= _block_shapes(layer, d)
        shapes[f"{layer}ada_norm.linear_in.weight"] = (d.cond_dim, d.dim)
        shapes[f"{layer}ada_norm.linear_out.weight"] = (d.dim, d.cond_dim)
    return shapes


def _block_shapes(layer: str, c: EncoderConfig | DecoderConfig) -> dict[str, tuple[int, ...]]:
    heads, kv_heads = c.n_heads * c.head_dim, c.n_kv_heads * c.head_dim
    return {
        f"{layer}attn_norm.weight": (c.dim,),
        f"{layer}attention.q_proj.weight": (heads, c.dim),
        f"{layer}attention.k_proj.weight": (kv_heads, c.dim),
        f"{layer}attention.v_proj.weight": (kv_heads, c.dim),
        f"{layer}attention.o_proj.weight": (c.dim, heads),
        f"{layer}ffn_norm.weight": (c.dim,),
        f"{layer}mlp.gate_proj.weight": (c.hidden_dim, c.dim),
        f"{layer}mlp.up_proj.weight": (c.hidden_dim, c.dim),
        f"{layer}mlp.down_proj.weight": (c.dim, c.hidden_dim),
    }


class Weights:
    """A checked checkpoint of any layout, its tensors lazily by the converted layout's names.

    Args:
        folder: A model's folder.
        dtype: Of the floating tensors; None for the checkpoint's own, that of its attention projections.

    Raises:
        ValueError: the configuration, a file or a tensor is not what it should be.
    """

    def __init__(self, folder: Path, dtype: mx.Dtype | None = None) -> None:
        layout, section = layouts.detect(folder)
        self.config = layout.read_config(section)
        self.quantization = quantization(section)
        self._tensors = Checkpoint(weight_files(folder, layout.weights_file))
        self.layout = layouts.variant(layout, self._tensors.tensors)
        self.shapes = tensor_shapes(self.config)
        self._check()
        probe = "language_model.layers.0.attention.o_proj"
        probe += ".scales" if self._quantized(f"{probe}.weight") else ".weight"
        self.stored_dtype = FLOATS[self._tensors.tensors[self.layout.source(probe)].dtype]
        self.dtype = dtype or self.stored_dtype
        self._arrays = self._tensors.load()

    def _quantized(self, name: str) -> bool:
        return self.layout.source(name.removesuffix("weight") + "scales") in self._tensors.tensors

    def _check(self) -> None:
        """Every tensor's name, shape and dtype, from the headers alone."""
        expected: dict[str, tuple[int, ...]] = {}
        for name, shape in self.shapes.items():
            source = self.layout.source(name)
            if name.endswith("weight") and self._quantized(name):
                expected |= self._quantized_shapes(source.removesuffix("weight"), shape)
            else:
                conv = self.layout.torch_conv and len(shape) == 3
                expected[source] = (shape[0], shape[2], shape[1]) if conv else shape
        self._tensors.require(expected, self.layout.ignored)
        self._check_packing()
        for name in expected:
            found = self._tensors.tensors[name].dtype
            packed = f"{name.removesuffix('weight')}scales" in expected and name.endswith("weight")
            if found not in (("U32",) if packed else FLOATS):
                raise _check.fail(OP, name, "U32" if packed else ", ".join(FLOATS), found)

    def _check_packing(self) -> None:
        """Projections that are packed into one matmul are quantised together or not at all."""
        for name in self.shapes:
            for first, others in (("q_proj", ("k_proj", "v_proj")), ("gate_proj", ("up_proj",))):
                if f".{first}.weight" in name:
                    alike = [name, *(name.replace(first, other) for other in others)]
                    if len({self._quantized(n) for n in alike}) > 1:
                        raise _check.fail(OP, "weights", f"{' and '.join(alike)} quantised alike", "some of them")

    def _quantized_shapes(self, stem: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        q = self.quantization
        if q is None:
            raise _check.fail(
                OP, "config.json quantization", "group_size and bits, as the weights are quantised", "none"
            )
        rows, columns = shape
        groups = (rows, columns // q.group_size)
        return {f"{stem}weight": (rows, columns * q.bits // 32), f"{stem}scales": groups, f"{stem}biases": groups}

    def array(self, name: str) -> mx.array:
        """A tensor in the converted layout's order; floating ones in ``self.dtype``."""
        x = self._arrays[self.layout.source(name)]
        if self.layout.torch_conv and x.ndim == 3:
            x = x.swapaxes(1, 2)
        if self.layout.rotate_half and (".q_proj." in name or ".k_proj." in name):
            c = self.config.encoder if name.startswith("encoder.") else self.config.decoder
            halves = x.reshape(-1, 2, c.head_dim // 2, *x.shape[1:])
            x = halves.swapaxes(1, 2).reshape(x.shape)
        return x if x.dtype == mx.uint32 else x.astype(self.dtype)

    def matrix(self, stem: str) -> Matrix:
        """A weight by its name without ``.weight``, quantised where the checkpoint has it so."""
        if not self._quantized(f"{stem}.weight"):
            return Matrix(self.array(f"{stem}.weight"))
        weight, scales, biases = (self.array(f"{stem}.{part}") for part in ("weight", "scales", "biases"))
        return Matrix(weight, scales, biases, self.quantization)

    def linear(self, stem: str) -> Linear:
        """A projection, with its bias where it has one."""
        bias = self.array(f"{stem}.bias") if f"{stem}.bias" in self.shapes else None
        return Linear(self.matrix(stem), bias)

    def items(self) -> Iterator[tuple[str, mx.array]]:
        """Every tensor by the converted layout's names, quantised ones in their parts."""
        for name in self.shapes:
            if name.endswith(".weight") and self._quantized(name):
                stem = name.removesuffix("weight")
                yield from ((f"{stem}{part}", self.array(f"{stem}{part}")) for part in ("weight", "scales", "biases"))
            else:
                yield name, self.array(name)

    def block(self, layer: str, c: EncoderConfig | DecoderConfig) -> Block:
        """One packed transformer layer, evaluated, so that its separate parts can go."""
        q, k, v, out = (self.linear(f"{layer}attention.{part}_proj") for part in "qkvo")
        gate, up, down = (self.linear(f"{layer}mlp.{part}_proj") for part in ("gate", "up", "down"))
        block = Block(
            self.array(f"{layer}attn_norm.weight"),
            Attention(q, k, v, out, head_dim=c.head_dim, window=c.window),
            self.array(f"{layer}ffn_norm.weight"),
            SwiGLU(gate, up, down),
            c.norm_eps,
        )
        mx.eval(block.parameters())
        return block


def build(w: Weights) -> tuple[ConvStem, Encoder, Adapter, Decoder]:
    """The model's stages from a checked checkpoint."""
    e, d = w.config.encoder, w.config.decoder
    stem = ConvStem(
        *(w.array(f"encoder.{name}") for name in ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"))
    )
    encoder_blocks = [w.block(f"encoder.layers.{i}.", e) for i in range(e.n_layers)]
    encoder = Encoder(e, encoder_blocks, w.array("encoder.norm.weight"))
    adapter = Adapter(w.linear("adapter.w_in"), w.linear("adapter.w_out"), w.config.downsample)
    layers = [f"language_model.layers.{i}." for i in range(d.n_layers)]
    blocks = [w.block(layer, d) for layer in layers]
    conditioning = [(w.linear(f"{x}ada_norm.linear_in"), w.linear(f"{x}ada_norm.linear_out")) for x in layers]
    embedding = w.matrix("language_model.embed_tokens")
    decoder = Decoder(d, embedding, blocks, conditioning, w.array("language_model.norm.weight"))
    mx.eval(stem.parameters(), encoder.parameters(), adapter.parameters(), decoder.parameters())
    return stem, encoder, adapter, decoder
