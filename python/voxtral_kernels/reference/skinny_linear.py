"""The op's definition: request, oracle (float64), composed (stock MLX ops), cases."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np

from . import ada_rms_norm, rope_append, silu_mul
from ._arrays import float64, normal, strided
from .ada_rms_norm import AdaRmsNorm
from .rope_append import RopeAppend
from .silu_mul import SiluMul

MAX_ROWS = 16


@dataclass(frozen=True)
class SkinnyLinear:
    """``y = epilogue(prologue(x) W^T)`` of few rows: a projection and what stands around it in a transformer layer.

    Rows count from 0 over the leading axes of ``x``. An affine weight holds ``bits`` wide numbers along K, the lowest
    bits first, whole words a row; ``w = scales * number + biases`` of its group. Source: MLX's ``mx.quantize``; Zhang &
    Sennrich 2019 (the norm), Shazeer 2020 (the gated form), Su et al. 2021 (the rotation).
    """

    x: mx.array  # [..., K], at least one row; kernels are made for MAX_ROWS at most
    weight: mx.array  # [N, K], dtype of x; quantised: uint32 [N, K * bits / 32]
    scales: mx.array | None  # [N, K / group_size], dtype of x or float32; None: a plain weight
    biases: mx.array | None  # as the scales
    bias: mx.array | None  # [N], added to the product
    # The prologue: x + residual, its RMSNorm, times norm (1 + scale).
    norm: mx.array | None  # [K]; None: none
    scale: mx.array | None  # [K], or [S, K] where S divides the rows: row r takes r // (rows / S); x's dtype or float32
    eps: float
    residual: mx.array | None  # shape of x; the rounded sum is normed, and the last output
    # The epilogue: one of these at most.
    add: mx.array | None  # [..., N], added at the end
    gated: bool  # rows of the weight alternate gate and up; y = silu(gate) up, [..., N / 2]
    length: int  # L, positions of a batch: the rows are B x L; 0 without rotation
    rotation: mx.array | None  # [R, D / 2, 2] float32, R = L or rows: row r takes r % R; q, k and v side by side in N
    tail_k: mx.array | None  # [B, Hkv, T, D], in front of the new keys; None: an empty tail
    tail_v: mx.array | None
    n_heads: int  # 0 without rotation
    n_kv_heads: int

    @property
    def rows(self) -> int:
        """Of x."""
        return self.x.size // self.x.shape[-1]

    @property
    def bits(self) -> int:
        """Of a number of a quantised weight; 0: a plain one."""
        return 0 if self.scales is None else self.weight.shape[1] * 32 // self.x.shape[-1]

    @property
    def group_size(self) -> int:
        """Numbers that share a scale; 0: a plain weight."""
        return 0 if self.scales is None else self.x.shape[-1] // self.scales.shape[1]

    @property
    def dim(self) -> int:
        """D; 0 without rotation."""
        return 0 if self.rotation is None else 2 * self.rotation.shape[1]


Request = SkinnyLinear


def _normed(r: SkinnyLinear) -> AdaRmsNorm:
    """The prologue as an AdaRmsNorm: a scale of S rows is one a batch of S."""
    many = r.scale is not None and r.scale.ndim == 2
    shape = (r.scale.shape[0] if many else 1, -1, r.x.shape[-1])  # type: ignore[union-attr]
    residual = None if r.residual is None else r.residual.reshape(shape)
    return AdaRmsNorm(r.x.reshape(shape), r.norm, r.scale, r.eps, residual)


def dequantized(r: SkinnyLinear) -> np.ndarray:
    """The weight in float64, ``[N, K]``, not rounded."""
    if r.scales is None or r.biases is None:
        return float64(r.weight)
    n, k = r.weight.shape[0], r.x.shape[-1]
    stream = np.unpackbits(np.array(r.weight).view(np.uint8).reshape(n, -1), axis=1, bitorder="little")
    numbers = (stream.reshape(n, k, r.bits) * (1 << np.arange(r.bits))).sum(-1).astype(np.float64)
    scales, biases = (np.repeat(float64(a), r.group_size, axis=1) for a in (r.scales, r.biases))
    return numbers * scales + biases


def oracle(r: SkinnyLinear) -> tuple[np.ndarray | None, ...]:
    """Ground truth in float64: y, or q, k and v; then x + residual, None without one. Never optimise this function."""
    x, h = float64(r.x), None
    if r.norm is not None:
        x, h = ada_rms_norm.oracle(_normed(r))
    y = x.reshape(r.rows, -1) @ dequantized(r).T
    if r.bias is not None:
        y = y + float64(r.bias)
    h = None if h is None else h.reshape(r.x.shape)
    if r.rotation is not None:
        parts = [rope_append.oracle(part) for part in _heads(r, y)]
        return *(np.concatenate(each) for each in zip(*parts, strict=True)), h
    if r.gated:
        y = silu_mul.oracle(SiluMul(y))  # type: ignore[arg-type]
    y = y.reshape(*r.x.shape[:-1], -1)
    return y if r.add is None else y + float64(r.add), h


def composed(r: SkinnyLinear) -> Any:
    """Stock MLX ops: the fallback backend and the benchmark baseline."""
    x, h = r.x, None
    if r.norm is not None:
        normed = ada_rms_norm.composed(_normed(r))
        x, h = normed if isinstance(normed, tuple) else (normed, None)
    y = product(r, x.reshape(r.rows, -1))
    if r.bias is not None:
        y = y + r.bias
    last = () if h is None else (h.reshape(r.x.shape),)
    if r.rotation is not None:
        parts = [rope_append.composed(part) for part in _heads(r, y)]
        return *(mx.concatenate(list(each)) for each in zip(*parts, strict=True)), *last
    if r.gated:
        y = silu_mul.composed(SiluMul(y))
    y = y.reshape(*r.x.shape[:-1], -1)
    y = y if r.add is None else y + r.add
    return (y, *last) if last else y


def product(r: SkinnyLinear, x: mx.array) -> mx.array:
    """``x W^T`` of rows ``[rows, K]`` by stock MLX, in their dtype."""
    if r.scales is None or r.biases is None:
        return x @ r.weight.T
    # In float32: on a CPU stock MLX sums the products of 16-bit rows in 16 bits.
    wide, scales, biases = (a.astype(mx.float32) for a in (x, r.scales, r.biases))
    y = mx.quantized_matmul(wide, r.weight, scales, biases, group_size=r.group_size, bits=r.bits)
    return y.astype(x.dtype)


def _heads(r: SkinnyLinear, packed: Any) -> Iterator[RopeAppend]:
    """What becomes of rows ``[rows, N]`` that are split into heads: one call a batch."""
    assert r.rotation is not None
    for b in range(r.rows // r.length):
        rows = slice(b * r.length, (b + 1) * r.length)
        turns = r.rotation if r.rotation.shape[0] == r.length else r.rotation[rows]
        k, v = (None if tail is None else tail[b : b + 1] for tail in (r.tail_k, r.tail_v))
        yield RopeAppend(packed[rows], None, None, turns, k, v, r.n_heads, r.n_kv_heads)


@dataclass(frozen=True)
class Case:
    """One shape of the op; ``str`` is its test id."""

    rows: int
    K: int
    N: int  # of y: a gated weight has twice as many rows; with heads (Hq + 2 Hkv) D, given by them
    bits: int = 0  # 0: a plain weight
    group: int = 64
    wide: bool = False  # scales in float32 beside a 16-bit x
    bias: bool = False
    norm: bool = False
    scale: int = 0  # rows of the scale; -1: one [K]
    residual: bool = False
    form: str = ""  # add | gated | heads
    heads: tuple[int, int, int] = (0, 0, 0)  # Hq, Hkv, D
    batch: int = 1
    tail: int = 0
    apart: bool = False  # every row has a rotation of its own
    view: bool = False
    extreme: str = ""  # one of rule.EXTREMES

    def __str__(self) -> str:
        hq, hkv, dim = self.heads
        n = f"H{hq}.{hkv}x{dim}-B{self.batch}-T{self.tail}" if self.form == "heads" else ""
        packed = f"q{self.bits}g{self.group}{'f' if self.wide else ''}" if self.bits else ""
        flags = [name for name in ("bias", "norm", "residual", "apart", "view") if getattr(self, name)]
        scale = f"scale{self.scale}" if self.scale else ""
        parts = [f"r{self.rows}", f"K{self.K}", n or f"N{self.N}", packed, *flags, scale, self.form, self.extreme]
        return "-".join(filter(None, parts))


_QKV = {"form": "heads", "norm": True, "N": 0}
CASES = [
    # What a decoder layer asks for, with fewer columns than the 4B's.
    Case(1, 3072, heads=(4, 1, 128), tail=3, **_QKV),  # type: ignore[arg-type]
    Case(1, 4096, 96, form="add"),
    Case(1, 3072, 160, norm=True, scale=-1, form="gated"),
    Case(1, 9216, 40, form="add"),
    # An encoder layer at 4 and 8 frames.
    Case(4, 1280, heads=(2, 2, 64), bias=True, **_QKV),  # type: ignore[arg-type]
    Case(8, 1280, 72, bias=True, form="add"),
    Case(8, 640, 96, norm=True, form="gated"),
    # Rows, and K and N off every tile.
    Case(2, 33, 7),
    Case(3, 100, 13, bias=True, norm=True, residual=True, view=True),
    Case(5, 257, 31, norm=True, scale=5, form="add"),
    Case(9, 64, 50, norm=True, scale=3, residual=True, form="gated", view=True),
    Case(16, 96, 33, bias=True),
    Case(1, 1, 1),
    # Batches, positions a row, tails.
    Case(6, 72, heads=(3, 1, 16), batch=2, tail=5, residual=True, **_QKV),  # type: ignore[arg-type]
    Case(8, 128, heads=(2, 1, 24), batch=8, tail=1, apart=True, scale=8, **_QKV),  # type: ignore[arg-type]
    Case(4, 64, heads=(2, 2, 8), batch=2, apart=True, bits=4, **_QKV),  # type: ignore[arg-type]
    # Every number of bits with every group.
    *(
        Case(rows, 4 * group if bits % 2 else 3 * 128, 21 if bits % 3 else 34, bits, group)
        for (bits, group), rows in zip(
            itertools.product([2, 3, 4, 5, 6, 8], [32, 64, 128]), itertools.cycle([1, 4, 2, 16, 3, 8, 5]), strict=False
        )
    ),
    Case(1, 4352, 40, 4, 64, form="add"),  # scales of more groups than a shader holds at once
    Case(1, 32, 5, 4, 32, wide=True),
    Case(2, 96, 9, 8, 32, wide=True, bias=True, norm=True, residual=True),
    Case(4, 192, 24, 4, 64, norm=True, scale=-1, form="gated"),
    Case(3, 160, 11, 6, 32, wide=True, form="add", bias=True),
    Case(2, 64, 6, view=True, norm=True),
]
EXTREMES = [
    case
    for kind in ("huge", "tiny", "infinite", "nan")
    for case in (Case(2, 40, 9, extreme=kind), Case(3, 64, 12, norm=True, form="gated", extreme=kind))
] + [Case(3, 192, 10, bits=4, group=64, extreme=kind) for kind in ("huge", "tiny", "infinite", "nan")]


def cross() -> Iterator[Case]:
    """The full cross of shapes and options, for soak runs."""
    for rows, (k, n), (norm, residual), form in itertools.product(
        [1, 2, 3, 4, 5, 8, 9, 16], [(1, 2), (33, 10), (256, 66)], [(False, False), (True, True)], ["", "add", "gated"]
    ):
        yield Case(rows, k, n, bias=n == 66, norm=norm, residual=residual, scale=-1 if norm else 0, form=form)
    for rows, bits, group, wide in itertools.product(
        [1, 2, 3, 4, 5, 8, 9, 16], [2, 3, 4, 5, 6, 8], [32, 64, 128], [False, True]
    ):
        yield Case(rows, (3 if rows % 2 else 4) * group, 19 + rows, bits, group, wide=wide)
    for rows, bits, tail in itertools.product([1, 4, 8, 16], [0, 4, 8], [0, 3]):
        yield Case(rows, 128, 0, bits, norm=True, form="heads", heads=(3, 1, 32), tail=tail)


def example(case: Case, dtype: mx.Dtype, seed: int = 0) -> SkinnyLinear:
    """Random inputs of the case; outputs of order one."""
    rng = np.random.default_rng(seed)
    hq, hkv, dim = case.heads
    n = (hq + 2 * hkv) * dim if case.form == "heads" else case.N * (2 if case.form == "gated" else 1)
    x = normal(rng, (case.rows, case.K), dtype)
    weight: mx.array = normal(rng, (n, case.K), dtype, 1 / math.sqrt(case.K))
    if case.extreme:
        x, weight = _extreme(case, x, weight)
    scales = biases = None
    if case.bits:
        wide = weight.astype(mx.float32 if case.wide else dtype)
        weight, scales, biases = mx.quantize(wide, group_size=case.group, bits=case.bits)
    scale = None
    if case.scale:
        shape = (case.K,) if case.scale < 0 else (case.scale, case.K)
        scale = normal(rng, shape, mx.float32 if case.scale > 3 else dtype, 0.3)
    length, rotated = case.rows // case.batch, case.form == "heads"
    rotation = mx.array(rope_append.rotation(100, case.rows if case.apart else length, dim, 1e4)) if rotated else None
    k, v = (normal(rng, (case.batch, hkv, case.tail, dim), dtype) if case.tail else None for _ in range(2))
    return SkinnyLinear(
        strided(x) if case.view else x,
        strided(weight) if case.view else weight,
        scales,
        biases,
        normal(rng, (n,), dtype, 0.5) if case.bias else None,
        1 + normal(rng, (case.K,), dtype, 0.2) if case.norm else None,
        scale,
        1e-5,
        normal(rng, x.shape, dtype) if case.residual else None,
        normal(rng, (case.rows, n), dtype) if case.form == "add" else None,
        case.form == "gated",
        length if rotated else 0,
        rotation,
        k,
        v,
        hq,
        hkv,
    )


def _extreme(case: Case, x: mx.array, weight: mx.array) -> tuple[mx.array, mx.array]:
    """Values of the case's kind, no two of which meet in one sum with opposite signs."""
    half = x.dtype == mx.float16
    if case.bits:
        weight[:, 3] = (
            1.0  # a number that stands for almost zero has no digits, or even sign, for a huge element to show
        )
    if case.extreme == "huge":
        x[0, 3] = 6e4 if half else 1e30
        weight[1] = weight[1] * (100 if half else 1e6)
    elif case.extreme == "tiny":
        x = x * (1e-4 if half else 1e-30)
    elif case.extreme == "infinite":
        x[0, 3] = math.inf
    else:
        x[1, 2] = weight[4, 1] = math.nan
    return x, weight
