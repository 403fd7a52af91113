"""The layers that the models share: packed projections, SwiGLU, attention, and the pre-norm block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import mlx.core as mx
import mlx.nn as nn

from ..backends import native
from ..backends.plan import Heads
from .fused import fused
from .held import Held
from .quantization import Quantization

if TYPE_CHECKING:
    from ..caches import KVCache
    from .stack import Step


@fused
def gelu(x: mx.array) -> mx.array:
    """``x/2 (1 + erf(x/sqrt(2)))``, computed in float32, rounded once."""
    y = x.astype(mx.float32)
    return (0.5 * y * (1 + mx.erf(y * math.sqrt(0.5)))).astype(x.dtype)


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

    @classmethod
    def stack(cls, parts: Sequence[Matrix]) -> Matrix:
        """One matrix of all the rows; the parts share columns and quantisation."""
        q = parts[0].quantization
        names = ("weight",) if q is None else q.parts
        stacked = {name: mx.concatenate([p[name] for p in parts]) for name in names}
        return cls(**stacked, quantization=q, dtype=parts[0].dtype)

    @property
    def columns(self) -> int:
        """Values of a row."""
        stored = self.weight.shape[1]
        return stored if self.quantization is None else stored * 32 // self.quantization.bits

    def matmul(self, x: mx.array, bias: mx.array | None = None) -> mx.array:
        """``x @ matrix.T + bias``: ``[..., columns]`` to ``[..., rows]``."""
        q = self.quantization
        if q is None:
            if (y := native.linear(x, self.weight, bias)) is not None:
                return y
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


class Linear(nn.Module):
    """``x @ W.T + b``."""

    def __init__(self, matrix: Matrix, bias: mx.array | None = None) -> None:
        super().__init__()
        self.matrix, self.bias = matrix, bias

    @classmethod
    def packed(cls, parts: Sequence[Linear]) -> Linear:
        """Several projections of one input as one matmul, outputs side by side; a missing bias counts as zeros."""
        matrix = Matrix.stack([p.matrix for p in parts])
        if all(p.bias is None for p in parts):
            return cls(matrix)
        dtype = next(p.bias.dtype for p in parts if p.bias is not None)
        rows = [p.matrix.weight.shape[0] for p in parts]
        biases = [mx.zeros(n, dtype) if p.bias is None else p.bias for p, n in zip(parts, rows, strict=True)]
        return cls(matrix, mx.concatenate(biases))

    def __call__(self, x: mx.array) -> mx.array:
        return self.matrix.matmul(x, self.bias)

    def product(self, x: mx.array, step: Step) -> mx.array:
        """The same of rows ``[N, columns]`` within a step."""
        # Items, not attributes: a module's attribute that is an array is found by a detour through Python.
        return self["matrix"].product(x, self.get("bias"), step)


class SwiGLU(nn.Module):
    """``down(silu(gate(x)) * up(x))``, gate and up packed into one matmul."""

    def __init__(self, gate: Linear, up: Linear, down: Linear) -> None:
        super().__init__()
        self.gate_up, self.down = Linear.packed([gate, up]), down

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
        qkv, heads = self["qkv"].product(x, step), self["heads"]
        if cache is not None:
            y = cache._attend(step.plans, heads, (qkv, None, None), rotation, self.window, self.scale)
        else:
            append, attend, *_ = step.plans.attention(heads, self.window, 0, 0)
            q, k, v = append(qkv, None, None, rotation, None, None, heads.n_heads, heads.n_kv_heads)
            y = attend(q, None, 0, k, v, self.window, self.scale, True)
        return self["out"].product(y, step)


class Block(nn.Module):
    """Pre-norm transformer layer: attention, then SwiGLU; each residual add is fused with the norm behind it.

    Args:
        attention_norm, mlp_norm: Gains ``[D]``.
        eps: Of both norms.
    """

    def __init__(
        self, attention_norm: mx.array, attention: Attention, mlp_norm: mx.array, mlp: SwiGLU, eps: float
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.mlp_norm, self.mlp, self.eps = mlp_norm, mlp, eps

    def __call__(
        self,
        h: mx.array,
        delta: mx.array | None,
        rotation: mx.array,
        cache: KVCache | None,
        step: Step,
        scale: mx.array | None = None,
    ) -> tuple[mx.array, mx.array]:
        """One layer on the pair (residual stream, what the layer before adds to it).

        Args:
            h, delta: Rows ``[B * L, D]``; ``delta`` None before the first layer.
            rotation: Of these positions, see `rope.rotation`.
            cache: This layer's cache, or None.
            step: What serves the step.
            scale: ``[D]``; the second norm's output is multiplied by ``1 + scale``.

        Returns:
            The pair for the next layer.
        """
        if delta is None:
            normed = step.first(h, self["attention_norm"], None, self.eps, None)
        else:
            normed, h = step.norm(delta, self["attention_norm"], None, self.eps, h)
        attended = self["attention"](normed, rotation, cache, step)
        normed, h = step.mlp_norm(attended, self["mlp_norm"], scale, self.eps, h)
        return h, self["mlp"](normed, step)
