"""Checkpoints by one set of names: a layout says what a file calls them, ``Weights`` checks and turns its tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx

from .. import _check
from .checkpoint import FLOATS, Checkpoint, weight_files
from .layers import Attention, Block, Linear, Matrix, Quantization, SwiGLU
from .section import OP, Section

# What the original layout calls the parts of a layer.
MISTRAL_PARTS = {
    "attention.q_proj": "attention.wq",
    "attention.k_proj": "attention.wk",
    "attention.v_proj": "attention.wv",
    "attention.o_proj": "attention.wo",
    "attn_norm": "attention_norm",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
}
_NORM = "language_model.norm.weight"


@dataclass(frozen=True)
class Layout:
    """How one family of checkpoints is stored.

    Attributes:
        name: For messages.
        config_file, weights_file: Names in the folder.
        read_config: Config file to the model's configuration.
        prefixes: Beginnings of names: ours, theirs, and the parts renamed behind it; the first that fits is taken.
        ignored: Tensors that may be there without use.
        torch_conv: Conv weights are ``[out, in, kernel]``; None: their shape tells.
        rotate_half: Beginnings of our names whose q and k rows are ordered for the rotate-half form of RoPE.
        others: The same with other names, for files whose tensors are named so.
    """

    name: str
    config_file: str
    weights_file: str
    read_config: Callable[[Section], Any]
    prefixes: tuple[tuple[str, str, dict[str, str]], ...]
    ignored: tuple[str, ...] = ()
    torch_conv: bool | None = False
    rotate_half: tuple[str, ...] = ()
    others: tuple[Layout, ...] = ()

    def source(self, name: str) -> str:
        """This layout's name of a tensor."""
        for ours, theirs, parts in self.prefixes:
            if name.startswith(ours):
                rest = name.removeprefix(ours)
                for old, new in parts.items():
                    rest = rest.replace(old, new)
                return theirs + rest
        raise AssertionError(f"no prefix for {name}")

    def named(self, names: Iterable[str]) -> Layout:
        """The layout itself, or the one of ``others`` whose names these are."""
        return next((o for o in self.others if o.source(_NORM) in names), self)


@dataclass(frozen=True)
class Quantizations:
    """The ``quantization`` object of a converted layout: for every matrix, and others for single ones by their name."""

    default: Quantization
    single: dict[str, Quantization]

    @classmethod
    def read(cls, config: Section) -> Quantizations | None:
        """From a config file; None for plain weights.

        Raises:
            ValueError: a mode, group size or number of bits that MLX's affine quantisation has not.
        """
        if config.values.get("quantization") is None:
            return None
        section = config.section("quantization")
        single = {
            name: _quantization(section.section(name)) for name, v in section.values.items() if isinstance(v, dict)
        }
        return cls(_quantization(section), single)

    def of(self, stem: str) -> Quantization:
        """That of a matrix, by the file's name without ``.weight``."""
        return self.single.get(stem, self.default)


def _quantization(section: Section) -> Quantization:
    section.fixed("mode", "affine")
    group_size, bits = section.integer("group_size", 1, 1 << 16), section.integer("bits", 1, 32)
    for key, value, allowed in (("group_size", group_size, (32, 64, 128)), ("bits", bits, (2, 3, 4, 5, 6, 8))):
        if value not in allowed:
            raise _check.fail(OP, section.name(key), f"one of {', '.join(map(str, allowed))}", value)
    return Quantization(group_size, bits)


def block_shapes(layer: str, c: Any) -> dict[str, tuple[int, ...]]:
    """Name and shape of the tensors of a `Block`, biases left out."""
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
    """A checked checkpoint of any layout, its tensors lazily by this package's names.

    Args:
        folder: A model's folder.
        layout: Its layout.
        section: Its config file.
        shapes: Name and shape of every tensor, as this package orders them unquantised, of a configuration and of
            whether the file has a tensor.
        dtype: Of the floating tensors; None for the checkpoint's own, that of its attention projections.

    Raises:
        ValueError: the configuration, a file or a tensor is not what it should be.
    """

    def __init__(
        self,
        folder: Path,
        layout: Layout,
        section: Section,
        shapes: Callable[[Any, Callable[[str], bool]], dict[str, tuple[int, ...]]],
        dtype: mx.Dtype | None = None,
    ) -> None:
        self.config = layout.read_config(section)
        self.quantization = Quantizations.read(section)
        self._tensors = Checkpoint(weight_files(folder, layout.weights_file))
        self.layout = layout.named(self._tensors.tensors)
        self.shapes = shapes(self.config, self._has)
        self._check()
        probe = "language_model.layers.0.attention.o_proj"
        probe += ".scales" if self.quantized(f"{probe}.weight") else ".weight"
        self.stored_dtype = FLOATS[self._tensors.tensors[self.layout.source(probe)].dtype]
        self.dtype = dtype or self.stored_dtype
        self._arrays: dict[str, mx.array] = {}

    def _take(self, source: str) -> mx.array:
        """A tensor of the file, not kept here: once packed, its own memory is free."""
        if source not in self._arrays:
            self._arrays = self._tensors.load()
        return self._arrays.pop(source)

    def _has(self, name: str) -> bool:
        return self.layout.source(name) in self._tensors.tensors

    def quantized(self, name: str) -> bool:
        """Whether the file has a weight quantised."""
        return self._has(name.removesuffix("weight") + "scales")

    def _turned(self, name: str) -> bool:
        """Whether a tensor is a conv weight ``[out, in, kernel]``."""
        shape = self.shapes.get(name, ())
        if len(shape) != 3 or self.layout.torch_conv is not None:
            return len(shape) == 3 and bool(self.layout.torch_conv)
        found = self._tensors.tensors.get(self.layout.source(name))
        return found is not None and found.shape == (shape[0], shape[2], shape[1])

    def _check(self) -> None:
        """Every tensor's name, shape and dtype, from the headers alone."""
        expected: dict[str, tuple[int, ...]] = {}
        for name, shape in self.shapes.items():
            source = self.layout.source(name)
            if name.endswith("weight") and self.quantized(name):
                expected |= self._quantized_shapes(source.removesuffix(".weight"), shape)
            else:
                expected[source] = (shape[0], shape[2], shape[1]) if self._turned(name) else shape
        self._tensors.require(expected, self.layout.ignored)
        self._check_packing()
        for name in expected:
            found = self._tensors.tensors[name].dtype
            packed = f"{name.removesuffix('weight')}scales" in expected and name.endswith("weight")
            if found not in (("U32",) if packed else FLOATS):
                raise _check.fail(OP, name, "U32" if packed else ", ".join(FLOATS), found)

    def _check_packing(self) -> None:
        """Projections that are packed into one matmul are quantised alike or not at all."""
        for name in self.shapes:
            for first, others in (("q_proj", ("k_proj", "v_proj")), ("gate_proj", ("up_proj",))):
                if f".{first}.weight" in name:
                    alike = [name, *(name.replace(first, other) for other in others)]
                    if len({self._quantization(n) for n in alike}) > 1:
                        raise _check.fail(OP, "weights", f"{' and '.join(alike)} quantised alike", "some of them")

    def _quantization(self, name: str) -> Quantization | None:
        """That of a weight; None for a plain one."""
        if self.quantization is None or not self.quantized(name):
            return None
        return self.quantization.of(self.layout.source(name).removesuffix(".weight"))

    def _quantized_shapes(self, stem: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        if self.quantization is None:
            raise _check.fail(
                OP, "config.json quantization", "group_size and bits, as the weights are quantised", "none"
            )
        q = self.quantization.of(stem)
        rows, columns = shape
        groups = (rows, columns // q.group_size)
        return {f"{stem}.weight": (rows, columns * q.bits // 32), f"{stem}.scales": groups, f"{stem}.biases": groups}

    def array(self, name: str, dtype: mx.Dtype | None = None) -> mx.array:
        """A tensor in this package's order; floating ones in ``dtype``, by default ``self.dtype``."""
        x = self._take(self.layout.source(name))
        if self._turned(name):
            x = x.swapaxes(1, 2)
        if name.startswith(self.layout.rotate_half) and (".q_proj." in name or ".k_proj." in name):
            c = self.config.encoder if name.startswith("encoder.") else self.config.decoder
            halves = x.reshape(-1, 2, c.head_dim // 2, *x.shape[1:])
            x = halves.swapaxes(1, 2).reshape(x.shape)
        return x if x.dtype == mx.uint32 else x.astype(dtype or self.dtype)

    def matrix(self, stem: str) -> Matrix:
        """A weight by its name without ``.weight``, quantised where the checkpoint has it so."""
        quantization = self._quantization(f"{stem}.weight")
        if quantization is None:
            return Matrix(self.array(f"{stem}.weight"))
        weight, scales, biases = (self.array(f"{stem}.{part}") for part in ("weight", "scales", "biases"))
        return Matrix(weight, scales, biases, quantization)

    def quantization_config(self) -> dict[str, Any] | None:
        """The ``quantization`` object of a config file, by this package's names; None for plain weights."""
        if self.quantization is None:
            return None
        default = self.quantization.default
        found = {name.removesuffix(".weight"): self._quantization(name) for name in self.shapes}
        single = {stem: asdict(q) for stem, q in found.items() if q not in (None, default)}
        return asdict(default) | single

    def linear(self, stem: str) -> Linear:
        """A projection, with its bias where it has one."""
        bias = self.array(f"{stem}.bias") if f"{stem}.bias" in self.shapes else None
        return Linear(self.matrix(stem), bias)

    def items(self) -> Iterator[tuple[str, mx.array]]:
        """Every tensor by this package's names, quantised ones in their parts."""
        for name in self.shapes:
            if name.endswith(".weight") and self.quantized(name):
                stem = name.removesuffix("weight")
                yield from ((f"{stem}{part}", self.array(f"{stem}{part}")) for part in ("weight", "scales", "biases"))
            else:
                yield name, self.array(name)

    def block(self, layer: str, c: Any) -> Block:
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
