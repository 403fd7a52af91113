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
class CausalConv1dGelu:
    """A checked call of the causal or the symmetric form. Source: the Whisper and Voxtral conv stems."""

    x: mx.array  # [B, T, C_in]
    weight: mx.array  # [C_out, K, C_in]
    bias: mx.array | None  # [C_out]
    context: mx.array | None  # [B, S, C_in]: frames before x; None for none
    stride: int
    pad_left: int  # zeros before context and x
    pad_right: int  # zeros after x
    gelu: bool

    @property
    def n_out(self) -> int:
        """Output frames: ``floor((pad_left + S + T + pad_right - K) / stride) + 1``, at least 0."""
        frames = self.pad_left + self.n_context + self.x.shape[1] + self.pad_right
        return max(0, (frames - self.weight.shape[1]) // self.stride + 1)

    @property
    def n_context(self) -> int:
        """Frames of ``context``."""
        return 0 if self.context is None else self.context.shape[1]


Request = CausalConv1dGelu

_erf = np.vectorize(math.erf, otypes=[np.float64])


def oracle(r: CausalConv1dGelu) -> np.ndarray:
    """Ground truth in float64, ``[B, n_out, C_out]``. Never optimise this function."""
    x, w = float64(r.x), float64(r.weight)
    if r.context is not None:
        x = np.concatenate([float64(r.context), x], axis=1)
    x = np.pad(x, [(0, 0), (r.pad_left, r.pad_right), (0, 0)])
    y = np.zeros((x.shape[0], r.n_out, w.shape[0]))
    for t in range(r.n_out):
        frames = x[:, t * r.stride : t * r.stride + w.shape[1]]
        y[:, t] = np.einsum("bkc,okc->bo", frames, w, optimize=True)
    if r.bias is not None:
        y = y + float64(r.bias)
    # gelu(-inf) is its limit.
    return np.where(y == -np.inf, -0.0, 0.5 * y * (1 + _erf(y / math.sqrt(2)))) if r.gelu else y


def composed(r: CausalConv1dGelu) -> mx.array:
    """Stock MLX ops: the fallback backend and the benchmark baseline."""
    batch = r.x.shape[0]
    if r.n_out == 0:
        return mx.zeros((batch, 0, r.weight.shape[0]), r.x.dtype)
    x = r.x if r.context is None else mx.concatenate([r.context, r.x], axis=1)
    if r.pad_left or r.pad_right:
        x = mx.pad(x, [(0, 0), (r.pad_left, r.pad_right), (0, 0)])
    y = mx.conv1d(x, r.weight, stride=r.stride)
    if r.bias is not None:
        y = y + r.bias
    return gelu(y) if r.gelu else y


def gelu(x: mx.array) -> mx.array:
    """Exact (erf) GELU, float32 inside and rounded once; gelu(-inf) is its limit, -0."""
    wide = mx.maximum(x.astype(mx.float32), np.finfo(np.float32).min.item())
    return (0.5 * wide * (1 + mx.erf(wide * math.sqrt(0.5)))).astype(x.dtype)


@dataclass(frozen=True)
class Case:
    """One shape of the op; ``str`` is its test id."""

    B: int
    T: int
    C_in: int
    C_out: int
    K: int = 3
    stride: int = 1
    context: int | None = None  # frames; None: the symmetric form with `padding`
    padding: int = 0
    bias: bool = True
    gelu: bool = True
    view: bool = False
    extreme: str = ""  # one of rule.EXTREMES

    def __str__(self) -> str:
        form = f"S{self.context}" if self.context is not None else f"p{self.padding}"
        flags = [
            "" if self.bias else "nobias",
            "" if self.gelu else "linear",
            "view" if self.view else "",
            self.extreme,
        ]
        shape = f"B{self.B}-T{self.T}-C{self.C_in}-{self.C_out}-k{self.K}-s{self.stride}"
        return "-".join([shape, form, *filter(None, flags)])


CASES = [
    Case(1, 8, 128, 1280, context=2),  # conv1, one token of audio
    Case(1, 8, 1280, 1280, stride=2, context=1),  # conv2, one token of audio
    Case(1, 64, 128, 1280, context=2),
    Case(1, 65, 128, 96, stride=2, context=1),  # ragged frames
    Case(1, 1, 128, 128, context=2),  # one frame: the slowest feed
    Case(1, 1, 128, 128, stride=2, context=2),
    Case(1, 1, 128, 128, stride=2, context=0),  # not enough frames: no output
    Case(2, 7, 100, 33, context=2),  # off every tile
    Case(2, 9, 33, 100, stride=2, context=1, view=True),
    Case(3, 5, 17, 19, K=5, stride=2, context=3, bias=False),
    Case(1, 6, 3, 5, K=1, context=0, gelu=False),
    Case(2, 21, 33, 40, context=2),  # several tokens of audio
    Case(1, 60, 128, 128, padding=1),  # offline, symmetric
    Case(2, 61, 128, 64, stride=2, padding=1),
    Case(1, 30, 40, 48, padding=1, gelu=False, bias=False),
]

EXTREMES = [
    case
    for kind in rule.EXTREMES
    for case in (
        Case(1, 9, 20, 33, stride=2, context=1, extreme=kind),
        Case(1, 40, 20, 33, padding=1, extreme=kind),
        Case(2, 12, 3, 24, context=2, gelu=False, extreme=kind),
    )
]


def cross() -> Iterator[Case]:
    """The full cross of shapes and options, for soak runs."""
    frames = [1, 2, 3, 7, 8, 9, 31, 64, 200]
    for t, (c_in, c_out) in itertools.product(frames, [(128, 128), (100, 33), (1, 1), (136, 264)]):
        for stride, bias, gelu_ in itertools.product([1, 2], [True, False], [True, False]):
            yield Case(2, t, c_in, c_out, stride=stride, context=3 - stride, bias=bias, gelu=gelu_)
            yield Case(1, t, c_in, c_out, stride=stride, padding=1, bias=bias, gelu=gelu_)


def example(case: Case, dtype: mx.Dtype, seed: int = 0) -> CausalConv1dGelu:
    """Random inputs of the case; outputs of order one, on both sides of GELU's bend."""
    rng = np.random.default_rng(seed)
    x = normal(rng, (case.B, case.T, case.C_in), dtype)
    weight = normal(rng, (case.C_out, case.K, case.C_in), dtype, 2.0 / math.sqrt(case.K * case.C_in))
    bias = normal(rng, (case.C_out,), dtype, 0.5) if case.bias else None
    context = normal(rng, (case.B, case.context, case.C_in), dtype) if case.context is not None else None
    if case.view:
        x = strided(x)
    if case.extreme:
        x, weight, bias = _extreme(case, x, weight, bias)
    return CausalConv1dGelu(x, weight, bias, context, case.stride, case.padding, case.padding, case.gelu)


def _extreme(
    case: Case, x: mx.array, weight: mx.array, bias: mx.array | None
) -> tuple[mx.array, mx.array, mx.array | None]:
    """Values of the case's kind, no two of which meet in one sum with opposite signs."""
    half, last = x.dtype == mx.float16, case.T - 2
    if case.extreme == "huge":
        x[0, 2, 0], x[0, last, 1] = (6e4, -6e4) if half else (1e30, -1e30)
        weight[1] = weight[1] * (100 if half else 1e10)
    elif case.extreme == "tiny":
        small = 1e-5 if half else 1e-30
        x, bias = x * small, None if bias is None else bias * small
    elif case.extreme == "infinite":
        x[0, 2, 1], x[0, last, 0] = math.inf, -math.inf
        if bias is not None:
            bias[2] = math.inf
    else:
        x[0, 2, 2] = weight[4, 1, 1] = math.nan
        if bias is not None:
            bias[5] = math.nan
    return x, weight, bias
