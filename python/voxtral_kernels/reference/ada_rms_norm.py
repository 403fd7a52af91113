"""The op's definition: request, oracle (float64), composed (stock MLX ops), cases."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from . import rule
from ._arrays import float64, normal, strided


@dataclass(frozen=True)
class AdaRmsNorm:
    """A checked call. Source: Zhang & Sennrich 2019; Voxtral Realtime's ``ada_rms_norm_t_cond``."""

    x: mx.array  # [..., D]
    weight: mx.array | None  # [D]
    scale: mx.array | None  # [D], or [B, D] with B = x.shape[0]
    eps: float
    residual: mx.array | None  # shape and dtype of x


Request = AdaRmsNorm


def _scale_rows(scale: mx.array, x_ndim: int) -> mx.array:
    """The scale with axes to broadcast against x."""
    return scale.reshape(scale.shape[0], *[1] * (x_ndim - 2), -1) if scale.ndim == 2 else scale


def oracle(r: AdaRmsNorm) -> tuple[np.ndarray, np.ndarray | None]:
    """Ground truth in float64: ``(y, h)``, h None without a residual. Never optimise this function."""
    h = None
    x = float64(r.x)
    if r.residual is not None:
        # h is an output in x's dtype, and y is the norm of that rounded sum.
        h = x + float64(r.residual)
        x = float64(mx.array(h.astype(np.float32)).astype(r.x.dtype))
    squares = (x**2).sum(-1, keepdims=True)
    # A sum beyond float32's range is infinite, as in stock MLX: what is finite in the row becomes 0.
    squares = np.where(squares > np.finfo(np.float32).max, np.inf, squares)
    y = x / np.sqrt(squares / x.shape[-1] + r.eps)
    if r.weight is not None:
        y = y * float64(r.weight)
    if r.scale is not None:
        y = y * (1 + float64(_scale_rows(r.scale, x.ndim)))
    return y, h


def composed(r: AdaRmsNorm) -> mx.array | tuple[mx.array, mx.array]:
    """Stock MLX ops: the fallback backend and the benchmark baseline."""
    x = r.x if r.residual is None else r.x + r.residual
    y = mx.fast.rms_norm(x, r.weight, r.eps)
    if r.scale is not None:
        y = (y * (1 + _scale_rows(r.scale, x.ndim))).astype(x.dtype)
    return y if r.residual is None else (y, x)


@dataclass(frozen=True)
class Case:
    """One shape of the op; ``str`` is its test id."""

    B: int
    L: int
    D: int
    weight: bool = True
    scale: str = "none"  # none | row | batch | float32 (a [D] scale in float32 beside a 16-bit x)
    residual: bool = False
    outlier: bool = False
    view: bool = False
    extreme: str = ""  # one of rule.EXTREMES

    def __str__(self) -> str:
        flags = [
            self.scale if self.scale != "none" else "",
            *(n for n in ("residual", "outlier", "view") if getattr(self, n)),
            self.extreme,
        ]
        return "-".join(
            [f"B{self.B}", f"L{self.L}", f"D{self.D}", *filter(None, flags), *([] if self.weight else ["plain"])]
        )


CASES = [
    Case(1, 1, 3072, scale="row", residual=True),  # decode
    Case(1, 39, 3072, scale="row"),  # prefill: BOS + 32 left pads + 6 delay tokens
    Case(1, 4, 1280, residual=True),  # encoder, one token of audio
    Case(1, 1, 160, scale="float32"),  # the tiny decoder
    Case(2, 3, 100, scale="batch"),  # off every tile
    Case(3, 2, 96, scale="batch", residual=True, view=True),
    Case(2, 5, 33, weight=False, view=True),
    Case(1, 1, 1, weight=False, scale="row"),
    Case(1, 7, 8192, outlier=True),  # beyond what a row in registers holds
    Case(1, 2, 1280, weight=False, residual=True, outlier=True),
]

EXTREMES = [
    case
    for kind in rule.EXTREMES
    for case in (Case(1, 2, 96, scale="row", extreme=kind), Case(2, 3, 33, residual=True, extreme=kind))
]


def cross() -> Iterator[Case]:
    """The full cross of shapes and options, for soak runs."""
    for (b, length), d in itertools.product([(1, 1), (1, 8), (2, 3)], [1, 31, 128, 160, 1280, 3072, 5120, 8192]):
        for weight, scale, residual in itertools.product(
            [True, False], ["none", "row", "batch", "float32"], [False, True]
        ):
            yield Case(b, length, d, weight, scale, residual)


def example(case: Case, dtype: mx.Dtype, seed: int = 0) -> AdaRmsNorm:
    """Random inputs of the case."""
    rng = np.random.default_rng(seed)
    shape = (case.B, case.L, case.D)
    x = normal(rng, shape, dtype)
    if case.outlier:
        x[..., case.D // 2] = 300.0
    weight = normal(rng, (case.D,), dtype) if case.weight else None
    scale = None
    if case.scale != "none":
        rows = (case.B, case.D) if case.scale == "batch" else (case.D,)
        scale = normal(rng, rows, mx.float32 if case.scale == "float32" else dtype, 0.3)
    residual = normal(rng, shape, dtype) if case.residual else None
    if case.extreme:
        return AdaRmsNorm(_extreme(case, x), _nan_at(case, weight, 3), _nan_at(case, scale, 5), 1e-5, residual)
    if case.view:
        x = strided(x)
    return AdaRmsNorm(x, weight, scale, 1e-5, residual)


def _extreme(case: Case, x: mx.array) -> mx.array:
    """``x`` with values of the case's kind; the sum of squares of the last row alone passes float32."""
    half = x.dtype == mx.float16
    if case.extreme == "huge":
        x[:, 0] = x[:, 0] * (6e3 if half else 1e18)
        x[:, -1] = x[:, -1] * (6e3 if half else 1e30)
    elif case.extreme == "tiny":
        x = x * (1e-5 if half else 1e-30)
        x[:, -1] = x[:, -1] * (1 if half else 1e-10)
    elif case.extreme == "infinite":
        x[0, 0, 2], x[-1, -1, 4] = math.inf, -math.inf
    else:
        x[0, 0, 2] = math.nan
    return x


def _nan_at(case: Case, a: mx.array | None, index: int) -> mx.array | None:
    if a is not None and case.extreme == "nan":
        a[..., index] = math.nan
    return a
