"""A realtime host's layer as one of our blocks, over the host's own weights.

What a block reads as one matrix (q, k and v; gate and up in turn) lies in one buffer: the host's arrays stay the same
objects and become views of it, so that nothing is held twice. A weight that was changed since is seen at the next call.
"""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import mlx.core as mx
import mlx.nn as nn

from ..backends import transforms
from ..models.block import Block
from ..models.layers import Attention, Linear, Matrix, SwiGLU
from ..models.quantization import AFFINE, Quantization
from ._attention import Spec, Tables
from ._seen import Seen
from ._verify import Structure

# Threads share a model: one of them packs a layer.
_one_at_a_time = threading.RLock()


@dataclass(frozen=True)
class Parts:
    """A host's names in a layer ``h + down(silu(gate(n)) * up(n))`` of ``h = x + attention(norm(x))``, ``n = norm(h)``.

    Args:
        attention, attention_norm, ffn_norm: Children of the layer.
        mlp: Child that holds the gated product; None: the layer itself.
        gated: Its linear layers: gate, up, down.
    """

    attention: str
    attention_norm: str
    ffn_norm: str
    mlp: str | None
    gated: tuple[str, str, str]

    @property
    def children(self) -> str:
        """The layer's children, as `Structure.attributes` takes them."""
        inside = self.gated if self.mlp is None else (self.mlp,)
        return ", ".join((self.attention, self.attention_norm, self.ffn_norm, *inside))

    def check(self, check: Structure, layer: Any, path: str) -> None:
        """The layer has these parts, and their sizes agree."""
        check.attributes(layer, self.children, nn.Module, path)
        mlp = layer if self.mlp is None else layer[self.mlp]
        path = path if self.mlp is None else f"{path}.{self.mlp}"
        check.rows(mlp, self.gated[2], layer[self.ffn_norm].weight.shape[0], path)
        check.rows(mlp, self.gated[0], mlp[self.gated[1]]["weight"].shape[0], path)


class Together(NamedTuple):
    """Layers in a row: their blocks for rows of one dtype, while nothing changes."""

    packs: list[Packed | None]
    dtype: mx.Dtype
    seen: Seen
    blocks: list[tuple[Block, Packed]]


class Packed:
    """A layer as a `Block`; applied and undone as a `Swap` is.

    Args:
        layer: The stand-in for the host's layer.
        parts: Its names.
        spec: Of its attention.
    """

    def __init__(self, layer: Any, parts: Parts, spec: Spec) -> None:
        self._layer, self._parts, self.spec = layer, parts, spec
        assert isinstance(spec.rotate, Tables)
        self.tables = spec.rotate
        self._mlp_type = None if parts.mlp is None else type(layer[parts.mlp])
        self._forget()

    def __deepcopy__(self, memo: dict[int, Any]) -> Packed:
        new = object.__new__(Packed)
        vars(new).update(vars(self), _layer=copy.deepcopy(self._layer, memo))
        new._forget()
        return new

    def _forget(self) -> None:
        self.seen: Seen | None = None  # what the block is made of
        self._block: Block | None = None
        self.together: Together | None = None  # of the layers that it was last the first of
        self.sizes = 0, 0  # width of the layer and of its gated product
        self._dtype = mx.float32
        self._views: list[mx.array] = []  # the host's arrays over the block's buffers
        self._copied: list[mx.array] = []  # its biases, of which the block has copies

    def apply(self) -> None:
        """Pack."""
        with _one_at_a_time:
            self._renew()

    def check(self) -> None:
        """Nothing hinders `undo`."""

    def undo(self) -> None:
        """Give the host's arrays buffers of their own."""
        with _one_at_a_time:
            for array in self._views:
                array[...] = mx.contiguous(array)
            mx.eval(self._views)
            self._forget()

    def fits(self) -> bool:
        """Whether the layer as it is has the form."""
        return self._form() is not None

    def block(self, dtype: mx.Dtype) -> Block | None:
        """The layer as it is now, for rows of this dtype; None where the host's own modules serve."""
        if self.seen is None or self.seen.changed():
            with _one_at_a_time:
                self._renew()
        return None if self._block is None or dtype != self._dtype else self._block

    def _linears(self) -> list[tuple[Any, str]]:
        """Where q, k, v, out, gate, up and down are."""
        layer, parts = self._layer, self._parts
        attention, mlp = layer[parts.attention], layer if parts.mlp is None else layer[parts.mlp]
        return [*((attention, name) for name in self.spec.names), *((mlp, name) for name in parts.gated)]

    def _modules(self) -> list[Any]:
        """Whose change would make another block."""
        layer, parts, linears = self._layer, self._parts, self._linears()
        around = {id(holder): holder for holder, _ in linears}
        norms = layer[parts.attention_norm], layer[parts.ffn_norm]
        return [layer, *(h for h in around.values() if h is not layer), *norms, *(h[name] for h, name in linears)]

    def _form(self) -> tuple[list[Linear], Any, Any] | None:
        """The seven linear layers as ours, and the norms; None where they are of no form that a block has."""
        layer, parts = self._layer, self._parts
        norms = layer[parts.attention_norm], layer[parts.ffn_norm]
        if any(type(norm) is not nn.RMSNorm for norm in norms) or norms[0].eps != norms[1].eps:
            return None
        if parts.mlp is not None and type(layer[parts.mlp]) is not self._mlp_type:
            return None
        linears = [_linear(holder[name]) for holder, name in self._linears()]
        dtype = norms[0]["weight"].dtype
        if norms[1]["weight"].dtype != dtype or not all(a is not None and _of(a, dtype) for a in linears):
            return None
        q, k, v, _, gate, up, _ = found = [a for a in linears if a is not None]
        kinds = [{(a.matrix.columns, a.matrix.quantization) for a in group} for group in ((q, k, v), (gate, up))]
        heads = [a.matrix.weight.shape[0] // self.spec.head_dim for a in (q, k)]
        fits = all(len(kind) == 1 for kind in kinds) and heads == [self.spec.n_heads, self.spec.n_kv_heads]
        return (found, *norms) if fits else None

    def _renew(self) -> None:
        """Make the block of what is there now."""
        if self.seen is not None and not self.seen.replaced() and not self.seen.differs():
            self.seen.look()  # another model over the same arrays packed them too
            return
        self.undo()
        modules = self._modules()
        held = [value for module in modules for value in dict.values(module) if isinstance(value, mx.array)]
        if transforms.in_transformation(*held):
            return
        form = self._form()
        if form is not None:
            self._pack(*form)
        self.seen = Seen(modules, [*self._views, *self._copied])

    def _pack(self, linears: list[Linear], attention_norm: Any, mlp_norm: Any) -> None:
        q, k, v, out, gate, up, down = linears
        attention = Attention(q, k, v, out, head_dim=self.spec.head_dim, window=None)
        gain, mlp = attention_norm["weight"], SwiGLU(gate, up, down)
        self._block = Block(gain, attention, mlp_norm["weight"], mlp, attention_norm.eps)
        mx.eval(self._block.parameters())  # any thread may call it
        self._dtype, self.sizes = gain.dtype, (gain.shape[0], down.matrix.columns)
        ours, theirs = attention.qkv.matrix, [a.matrix for a in (q, k, v)]
        self._put(theirs, lambda name: list(mx.split(ours[name], _ends(theirs), axis=0)))
        rows, pair = mlp.gate_up.matrix, [gate.matrix, up.matrix]
        self._put(pair, lambda name: [mx.unflatten(rows[name], 0, (-1, 2))[:, i] for i in range(2)])
        self._copied = [a.bias for a in (q, k, v, gate, up) if a.bias is not None]

    def _put(self, theirs: list[Matrix], views: Callable[[str], list[mx.array]]) -> None:
        """Let the host's arrays be these views."""
        q = theirs[0].quantization
        for name in ("weight",) if q is None else q.parts:
            found = views(name)
            mx.eval(found)
            for matrix, view in zip(theirs, found, strict=True):
                matrix[name][...] = view
                self._views.append(matrix[name])
        mx.eval(self._views)


def _linear(host: Any) -> Linear | None:
    """A host's linear layer as ours, with its arrays."""
    if type(host) is nn.Linear:
        return Linear(Matrix(host["weight"]), host.get("bias"))
    if type(host) is not nn.QuantizedLinear or getattr(host, "mode", AFFINE) != AFFINE:
        return None
    quantization = Quantization(host.group_size, host.bits)
    return Linear(Matrix(host["weight"], host["scales"], host["biases"], quantization), host.get("bias"))


def _of(linear: Linear, dtype: mx.Dtype) -> bool:
    """Whether it is what `skinny_linear` takes, all of this dtype."""
    matrix = linear.matrix
    stored: mx.array = matrix["weight"] if matrix.quantization is None else matrix["scales"]
    return stored.dtype == dtype and linear.form(dtype) is not None


def _ends(parts: list[Matrix]) -> list[int]:
    """Where each part but the last ends among the rows."""
    return list(itertools.accumulate(part["weight"].shape[0] for part in parts))[:-1]
