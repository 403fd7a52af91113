"""Checkpoints by one set of names: a layout says what a file calls them, ``Weights`` checks and turns its tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx

from .. import _check
from . import shares
from .block import Block
from .checkpoint import FLOATS, Checkpoint, Tensor, some, weight_files
from .layers import Attention, Linear, Matrix, SwiGLU
from .layout import LAST_NORM, Layout
from .quantization import AFFINE, Quantization, Quantizations
from .ranks import Ranks
from .section import OP, Section
from .sharded import Closing, Gathered, Vocabulary


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
        ranks: Among which the tensors are split, each reading its own part; None: all is held here.

    Raises:
        ValueError: the configuration, a file or a tensor is not what it should be.
    """

    ranks: Ranks | None = None

    def __init__(
        self,
        folder: Path,
        layout: Layout,
        section: Section,
        shapes: Callable[[Any, Callable[[str], bool]], dict[str, tuple[int, ...]]],
        dtype: mx.Dtype | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.config, self.ranks = layout.read_config(section), ranks
        self.quantization = Quantizations.read(section)
        self._tensors = Checkpoint(weight_files(folder, layout.weights_file))
        self.layout = layout.named(self._tensors.tensors)
        self.shapes = shapes(self.config, self._has)
        self._check()
        self.stored_dtype = self._stored_dtype("language_model.layers.0.attention.o_proj")
        self.dtype = dtype or self.stored_dtype
        self._arrays: dict[str, mx.array] = {}
        self._unproven: dict[str, mx.array] = {}
        if ranks is not None:
            shares.check(self.config, {name: t.shape for name, t in self.stored().items()}, ranks)

    def _stored_dtype(self, stem: str) -> mx.Dtype:
        """That of a matrix, of its scales, or of the last norm, where the scales are 8-bit exponents."""
        scaled = f"{stem}.scales" if self.quantized(f"{stem}.weight") else f"{stem}.weight"
        stored = (self._tensors.tensors[self.layout.source(name)].dtype for name in (scaled, LAST_NORM))
        return next(FLOATS[dtype] for dtype in stored if dtype in FLOATS)

    def names(self) -> Iterator[str]:
        """Every tensor by this package's names, quantised ones in their parts."""
        for name in self.shapes:
            q = self._quantization(name) if name.endswith(".weight") else None
            yield from (name,) if q is None else (f"{name.removesuffix('weight')}{part}" for part in q.parts)

    def stored(self) -> dict[str, Tensor]:
        """How the file has each of them."""
        return {name: self._tensors.tensors[self.layout.source(name)] for name in self.names()}

    def share(self, config: Any) -> Any:
        """The sizes of what is held here of a stack of layers."""
        return config if self.ranks is None else shares.share(config, self.ranks)

    def _take(self, name: str) -> mx.array:
        """A tensor of the file, or what is held here of it; not kept: once packed, its own memory is free."""
        source = self.layout.source(name)
        if self.ranks is not None:
            return shares.read(self._tensors.tensors[source], name, self.config, self.ranks)
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
        dtypes: dict[str, tuple[str, ...]] = {}
        for name, shape in self.shapes.items():
            source = self.layout.source(name)
            if name.endswith("weight") and self.quantized(name):
                packed = self._packed(source.removesuffix(".weight"), shape)
                expected |= {part: s for part, (s, _) in packed.items()}
                dtypes |= {part: d for part, (_, d) in packed.items()}
            else:
                expected[source] = (shape[0], shape[2], shape[1]) if self._turned(name) else shape
        self._tensors.require(expected, self.layout.ignored)
        self._check_packing()
        for name in expected:
            found, allowed = self._tensors.tensors[name].dtype, dtypes.get(name, tuple(FLOATS))
            if found not in allowed:
                raise _check.fail(OP, name, ", ".join(allowed), found)

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

    def _packed(self, stem: str, shape: tuple[int, ...]) -> dict[str, tuple[tuple[int, ...], tuple[str, ...]]]:
        """Shape and dtypes of the parts of a quantised matrix, by the file's names."""
        if self.quantization is None:
            raise _check.fail(
                OP, "config.json quantization", "group_size and bits, as the weights are quantised", "none"
            )
        q = self.quantization.of(stem)
        scales = tuple(FLOATS) if q.mode == AFFINE else ("U8",)
        if len(shape) != 2:
            raise _check.fail(OP, "weights", "quantised matrices only", f"a quantised {stem} {list(shape)}")
        dtypes = {"weight": ("U32",), "scales": scales, "biases": scales}
        return {f"{stem}.{part}": (s, dtypes[part]) for part, s in q.shapes(*shape).items()}

    def array(self, name: str, dtype: mx.Dtype | None = None) -> mx.array:
        """A tensor in this package's order; floating ones in ``dtype``, by default ``self.dtype``."""
        x = self._take(name)
        if self._turned(name):
            x = x.swapaxes(1, 2)
        if head_dim := self.rotated(name):
            halves = x.reshape(-1, 2, head_dim // 2, *x.shape[1:])
            x = halves.swapaxes(1, 2).reshape(x.shape)
        if x.dtype == mx.uint32:
            return x
        if x.dtype == mx.uint8:
            q = self._quantization(name.removesuffix("scales") + "weight")
            self._unproven[name] = ((x & (nan := q.nan_scale if q else 0)) != nan).all()
            return x
        x = x.astype(dtype or self.dtype)
        self._unproven[name] = finite(x)
        return x

    def rotated(self, name: str, layout: Layout | None = None) -> int:
        """The width of a head where a layout (by default the file's) orders a tensor's rows by halves, else 0."""
        layout = layout or self.layout
        if not name.startswith(layout.rotate_half) or (".q_proj." not in name and ".k_proj." not in name):
            return 0
        return (self.config.encoder if name.startswith("encoder.") else self.config.decoder).head_dim

    def evaluate(self, *arrays: Any) -> None:
        """Evaluate, and with them whether the tensors read up to now are finite.

        Raises:
            ValueError: one is not; the text names it.
        """
        mx.eval(*arrays, self._unproven)
        wrong = [self.layout.source(name) for name, flag in self._unproven.items() if not flag.item()]
        self._unproven.clear()
        if wrong:
            cast = self.dtype != self.stored_dtype
            cause = "too large for this dtype" if cast else "the file is damaged or was converted wrongly"
            got = f"NaN or infinity in {some(wrong)}: {cause}"
            raise _check.fail(OP, "weights", f"finite numbers in {_check.dtype_name(self.dtype)}", got)

    def matrix(self, stem: str) -> Matrix:
        """A weight by its name without ``.weight``, quantised where the checkpoint has it so."""
        quantization = self._quantization(f"{stem}.weight")
        names = ("weight",) if quantization is None else quantization.parts
        parts = {part: self.array(f"{stem}.{part}") for part in names}
        held = Matrix(**parts, quantization=quantization, dtype=None if quantization is None else self.dtype)
        if self.ranks is None or not shares.vocabulary(stem):
            return held
        return Vocabulary(held, self.ranks, self.shapes[f"{stem}.weight"][0])

    def quantization_config(self, layout: Layout) -> dict[str, Any] | None:
        """The ``quantization`` object of a config file, by a layout's names; None for plain weights."""
        if self.quantization is None:
            return None
        default = self.quantization.default
        found = {layout.source(name).removesuffix(".weight"): self._quantization(name) for name in self.shapes}
        single = {stem: q.to_config() for stem, q in found.items() if q is not None and q != default}
        return default.to_config() | single

    def linear(self, stem: str) -> Linear:
        """A projection, with its bias where it has one."""
        matrix = self.matrix(stem)
        if self.ranks is not None and shares.gathered(stem):
            return Gathered(matrix, self.ranks)
        split = self.ranks if shares.closing(stem) else None
        with_bias = f"{stem}.bias" in self.shapes and (split is None or split.rank == 0)
        bias = self.array(f"{stem}.bias") if with_bias else None
        return Linear(matrix, bias) if split is None else Closing(matrix, bias, split)

    def items(self) -> Iterator[tuple[str, mx.array]]:
        """Every tensor by this package's names, quantised ones in their parts."""
        return ((name, self.array(name)) for name in self.names())

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
        self.evaluate(block.parameters())
        return block


def finite(x: mx.array) -> mx.array:
    """Whether all of a tensor is finite. A matrix is asked by a product with zeros, which NaN and infinity survive."""
    if x.ndim != 2:
        return mx.isfinite(x).all()
    return mx.isfinite(Matrix(x).matmul(mx.zeros((1, x.shape[1]), x.dtype))).all()
