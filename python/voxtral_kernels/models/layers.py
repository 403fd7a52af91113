"""The layers that the models share: packed projections, SwiGLU and attention."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import mlx.nn as nn

from ..backends import native, plan, transforms
from ..backends.plan import Form, Heads, Plans, form
from ..reference.skinny_linear import MAX_ROWS
from .fused import fused
from .held import Held
from .quantization import AFFINE, Quantization

if TYPE_CHECKING:
    from ..caches import KVCache
    from .stack import Step


@fused
def gelu(x: mx.array) -> mx.array:
    """``x/2 (1 + erf(x/sqrt(2)))``, computed in float32, rounded once."""
    y = x.astype(mx.float32)
    return (0.5 * y * (1 + mx.erf(y * math.sqrt(0.5)))).astype(x.dtype)


# Plans whose service of a matrix is remembered.
_SERVED = 32


class _Served:
    """By plans: the weight that was looked at, what serves it, its operands."""

    def __init__(self) -> None:
        self.by: dict[Plans, tuple[mx.array, Callable[..., mx.array] | None, tuple[Any, ...]]] = {}


class Matrix(nn.Module):
    """A matrix ``[rows, columns]``, plain or quantised.

    Args:
        weight: ``[rows, columns]``; quantised: uint32 ``[rows, columns * bits / 32]``.
        scales: Quantised only: ``[rows, columns / group_size]``.
        biases: As the scales; of the affine mode only.
        quantization: Set if and only if the weight is quantised.
        dtype: Of the rows that `take` gives; None for that of the weight or its scales.
    """

    def __init__(
        self,
        weight: mx.array,
        scales: mx.array | None = None,
        biases: mx.array | None = None,
        quantization: Quantization | None = None,
        dtype: mx.Dtype | None = None,
    ) -> None:
        super().__init__()
        self.weight, self.scales, self.biases = weight, scales, biases
        self.quantization, self.dtype = quantization, dtype
        self._held: Held | None = None
        self._served = _Served()

    @classmethod
    def stack(cls, parts: Sequence[Matrix], join: Callable[[list[mx.array]], mx.array] = mx.concatenate) -> Matrix:
        """One matrix of all the rows, as `join` puts them; the parts share columns and quantisation."""
        q = parts[0].quantization
        names = ("weight",) if q is None else q.parts
        stacked = {name: join([p[name] for p in parts]) for name in names}
        return cls(**stacked, quantization=q, dtype=parts[0].dtype)

    @property
    def columns(self) -> int:
        """Values of a row."""
        stored = self.weight.shape[1]
        return stored if self.quantization is None else stored * 32 // self.quantization.bits

    def matmul(self, x: mx.array, bias: mx.array | None = None) -> mx.array:
        """``x @ matrix.T + bias``: ``[..., columns]`` to ``[..., rows]``."""
        q = self.quantization
        if q is None or q.mode == AFFINE:
            y = native.linear(x, self["weight"], self.get("scales"), self.get("biases"), bias)
            if y is not None:
                return y
        if q is None:
            return x @ self.weight.T if bias is None else mx.addmm(bias, x, self.weight.T)
        y = mx.quantized_matmul(
            x, self.weight, self["scales"], self.biases, group_size=q.group_size, bits=q.bits, mode=q.mode
        )
        return y if bias is None else y + bias

    def product(self, x: mx.array, bias: mx.array | None, step: Step) -> mx.array:
        """`matmul` of rows ``[N, columns]`` within a step: one node of the graph, two where quantised with a bias."""
        weight, held = self["weight"], self._held
        if held is None or held.weight is not weight or held.bias is not bias:
            held = self._held = Held(weight, bias)
        if self.quantization is not None:
            y = self.matmul(x)
            return y if bias is None else y + held.spread(x.shape[0])
        if step.linear is not None and held.dtype == step.dtype:
            return step.linear(x, weight, bias)
        return held.product(x)

    def take(self, ids: mx.array) -> mx.array:
        """Rows by index: ``[...]`` to ``[..., columns]``."""
        rows, q = self.weight[ids], self.quantization
        if q is None:
            return rows
        biases = None if self.biases is None else self.biases[ids]
        return mx.dequantize(
            rows, self["scales"][ids], biases, group_size=q.group_size, bits=q.bits, mode=q.mode, dtype=self.dtype
        )

    def whole(self, logits: mx.array) -> mx.array:
        """Logits of all rows, of those of the rows that are held: here all are."""
        return logits

    def likeliest(self, hidden: mx.array, logits: Callable[[mx.array], mx.array]) -> mx.array:
        """The row of the greatest logit, ``[B, L]``; ``logits`` gives those of all rows of ``hidden``."""
        return mx.argmax(logits(hidden), axis=-1)


class Linear(nn.Module):
    """``x @ W.T + b``."""

    def __init__(self, matrix: Matrix, bias: mx.array | None = None) -> None:
        super().__init__()
        self.matrix, self.bias = matrix, bias

    @classmethod
    def packed(cls, parts: Sequence[Linear], join: Callable[[list[mx.array]], mx.array] = mx.concatenate) -> Linear:
        """Several projections of one input as one matmul, outputs side by side or, `in_turn`, one of each in turn.

        A missing bias counts as zeros.
        """
        matrix = Matrix.stack([p.matrix for p in parts], join)
        if all(p.bias is None for p in parts):
            return cls(matrix)
        dtype = next(p.bias.dtype for p in parts if p.bias is not None)
        rows = [p.matrix.weight.shape[0] for p in parts]
        biases = [mx.zeros(n, dtype) if p.bias is None else p.bias for p, n in zip(parts, rows, strict=True)]
        return cls(matrix, join(biases))

    def __call__(self, x: mx.array) -> mx.array:
        return self.matrix.matmul(x, self.bias)

    def product(self, x: mx.array, step: Step) -> mx.array:
        """The same of rows ``[N, columns]`` within a step."""
        # Items, not attributes: a module's attribute that is an array is found by a detour through Python.
        return self["matrix"].product(x, self.get("bias"), step)

    def closed(self, function: Callable[..., mx.array]) -> Callable[..., mx.array]:
        """What gives the whole result in a step, of ``function``, which serves the held part; here all is held."""
        return function

    def operands(self) -> tuple[mx.array | None, ...]:
        """Weight, scales, biases and bias, as `SkinnyLinear` has them."""
        matrix = self["matrix"]
        return matrix["weight"], matrix.get("scales"), matrix.get("biases"), self.get("bias")

    def form(self, dtype: mx.Dtype, **around: Any) -> Form | None:
        """What `skinny_linear` is asked for; None where it does not take the weight.

        Args:
            dtype: Of the rows.
            **around: Fields of `Form`: what stands around the product.
        """
        matrix = self["matrix"]
        weight, scales, _, bias = self.operands()
        q, stored = matrix.quantization, weight.dtype if scales is None else scales.dtype  # type: ignore[union-attr]
        fits = stored == dtype if q is None else q.mode == AFFINE and stored in (dtype, mx.float32)
        if not fits or (bias is not None and bias.dtype != dtype):
            return None
        bits, group_size = (0, 0) if q is None else (q.bits, q.group_size)
        n, scales_dtype = matrix["weight"].shape[0], None if q is None else stored
        return form(n, matrix.columns, dtype, bits, group_size, scales_dtype, bias is not None, **around)


def head(matrix: Matrix, hidden: mx.array) -> mx.array:
    """Logits ``[B, L, vocab_size]`` of ``[B, L, D]``."""
    return matrix.whole(held_logits(matrix, hidden))


def held_logits(matrix: Matrix, hidden: mx.array) -> mx.array:
    """Logits of the rows held here ``[B, L, rows]``: where `skinny_linear` serves, a row of few is as it is alone."""
    (batch, length, width), function = hidden.shape, None
    if 0 < batch * length <= MAX_ROWS and not transforms.in_transformation(hidden):
        function, operands = _served(matrix, plan.plans(batch, length, hidden.dtype))
    if function is None:
        return matrix.matmul(hidden)
    y: mx.array = function(hidden.reshape(batch * length, width), *operands, *native.ALONE)
    return y.reshape(batch, length, y.shape[-1])


def _served(matrix: Matrix, plans: Plans) -> tuple[Callable[..., mx.array] | None, tuple[Any, ...]]:
    """What serves the matrix by itself, and its operands; found again while its weight is the same."""
    by = matrix._served.by
    found = by.get(plans)
    if found is None or found[0] is not matrix["weight"]:
        linear = Linear(matrix)
        form = linear.form(plans.dtype)
        if len(by) >= _SERVED:
            by.clear()
        function = None if form is None else plans.projection(form)
        found = by[plans] = matrix["weight"], function, linear.operands()
    return found[1:]


def in_turn(parts: list[mx.array]) -> mx.array:
    """One of each part in turn along the first axis."""
    return mx.stack(parts, axis=1).flatten(0, 1)


class SwiGLU(nn.Module):
    """``down(silu(gate(x)) * up(x))``, gate and up packed into one matmul."""

    def __init__(self, gate: Linear, up: Linear, down: Linear) -> None:
        super().__init__()
        self.gate_up, self.down = Linear.packed([gate, up], in_turn), down

    def __call__(self, x: mx.array, step: Step) -> mx.array:
        """Rows ``[B * L, D]`` to the same shape."""
        return self["down"].product(step.silu_mul(self["gate_up"].product(x, step)), step)


class Attention(nn.Module):
    """Self-attention with rotary positions; q, k and v packed into one matmul.

    Args:
        window: Visible keys including the query's own; None for plain causal.
    """

    def __init__(self, q: Linear, k: Linear, v: Linear, out: Linear, *, head_dim: int, window: int | None) -> None:
        super().__init__()
        self.qkv, self.out = Linear.packed([q, k, v]), out
        n_heads, n_kv_heads = (p.matrix.weight.shape[0] // head_dim for p in (q, k))
        self.heads = Heads(n_heads, n_kv_heads, head_dim)
        self.window, self.scale = window, head_dim**-0.5

    def __call__(self, x: mx.array, rotation: mx.array, cache: KVCache | None, step: Step) -> mx.array:
        """Rows ``[B * L, D]`` to the same shape; with a cache they are the newest L positions, without one all."""
        qkv = self["qkv"].product(x, step), None, None
        return self["out"].product(self.attend(qkv, self["heads"], rotation, cache, step), step)

    def attend(
        self, qkv: tuple[Any, ...], heads: Heads, rotation: mx.array, cache: KVCache | None, step: Step
    ) -> mx.array:
        """What the heads give, rows ``[B * L, Hq * D]``; ``qkv`` as ``heads`` says."""
        if cache is not None:
            return cache._attend(step.plans, heads, qkv, rotation, self.window, self.scale)
        append, attend, *_ = step.plans.attention(heads, self.window, 0, 0)
        q, k, v = append(*qkv, rotation, None, None, heads.n_heads, heads.n_kv_heads)
        return attend(q, None, 0, k, v, self.window, self.scale, True)
