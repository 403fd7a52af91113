"""The layers that the models share: packed projections, SwiGLU, attention, and the pre-norm block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import mlx.core as mx
import mlx.nn as nn

from ..backends import native
from ..ops.ada_rms_norm import ada_rms_norm
from ..ops.sliding_window_attention import sliding_window_attention
from .fused import fused
from .quantization import Quantization
from .rope import Tables, rotate

if TYPE_CHECKING:
    from ..caches import KVCache


@fused
def gelu(x: mx.array) -> mx.array:
    """``x/2 (1 + erf(x/sqrt(2)))``, computed in float32, rounded once."""
    y = x.astype(mx.float32)
    return (0.5 * y * (1 + mx.erf(y * math.sqrt(0.5)))).astype(x.dtype)


@fused
def _gated(gate: mx.array, up: mx.array) -> mx.array:
    wide = gate.astype(mx.float32)
    return (wide * mx.sigmoid(wide) * up.astype(mx.float32)).astype(gate.dtype)


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


class SwiGLU(nn.Module):
    """``down(silu(gate(x)) * up(x))``, gate and up packed into one matmul."""

    def __init__(self, gate: Linear, up: Linear, down: Linear) -> None:
        super().__init__()
        self.gate_up, self.down = Linear.packed([gate, up]), down

    def __call__(self, x: mx.array) -> mx.array:
        return self.down(_gated(*mx.split(self.gate_up(x), 2, axis=-1)))


class Attention(nn.Module):
    """Self-attention with rotary positions; q, k and v packed into one matmul.

    Args:
        window: Visible keys including the query's own; None for plain causal.
    """

    def __init__(self, q: Linear, k: Linear, v: Linear, out: Linear, *, head_dim: int, window: int | None) -> None:
        super().__init__()
        self.qkv, self.out = Linear.packed([q, k, v]), out
        self.head_dim, self.window = head_dim, window
        self.n_heads = q.matrix.weight.shape[0] // head_dim
        self.n_kv_heads = k.matrix.weight.shape[0] // head_dim

    def __call__(self, x: mx.array, tables: Tables, cache: KVCache | None = None) -> mx.array:
        """``[B, L, D]`` to the same shape; with a cache x holds the newest L positions, without one all of them."""
        rotated = self.n_heads + self.n_kv_heads
        heads = mx.unflatten(self.qkv(x), -1, (-1, self.head_dim)).transpose(0, 2, 1, 3)
        qk = rotate(heads[:, :rotated], tables)
        q, k, v = qk[:, : self.n_heads], qk[:, self.n_heads :], heads[:, rotated:]
        y = sliding_window_attention(q, k, v, window=self.window, cache=cache)
        return self.out(mx.flatten(y.transpose(0, 2, 1, 3), -2))


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
        self, h: mx.array, delta: mx.array | None, tables: Tables, cache: KVCache | None, scale: mx.array | None = None
    ) -> tuple[mx.array, mx.array]:
        """One layer on the pair (residual stream, what the layer before adds to it).

        Args:
            h, delta: ``[B, L, D]``; ``delta`` None before the first layer.
            tables: Rotary tables of these positions.
            cache: This layer's cache, or None.
            scale: ``[D]``; the second norm's output is multiplied by ``1 + scale``.

        Returns:
            The pair for the next layer.
        """
        normed, h = add_norm(h, delta, self.attention_norm, self.eps)
        attended = self.attention(normed, tables, cache)
        normed, h = ada_rms_norm(attended, self.mlp_norm, scale, eps=self.eps, residual=h)
        return h, self.mlp(normed)


def add_norm(h: mx.array, delta: mx.array | None, weight: mx.array, eps: float) -> tuple[mx.array, mx.array]:
    """``(norm(h + delta), h + delta)`` in one op."""
    if delta is None:
        return ada_rms_norm(h, weight, eps=eps), h
    return ada_rms_norm(delta, weight, eps=eps, residual=h)
