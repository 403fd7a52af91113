"""Launches ``kernels/causal_conv1d_gelu.metal``."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from ..backends.source import Factory, ints, kernel
from ..reference.causal_conv1d_gelu import CausalConv1dGelu
from ._canary import normal

FILE = "causal_conv1d_gelu.metal"
VARIANTS = ("vector", "tiled")
INPUTS = ("x", "context", "weight", "bias", "state")
FEW = 24  # output frames that the vector variant takes: those of 240 ms of audio, in one order of sums
BLOCK = 8  # of them that share a reading of the weights
CHANNELS = 32  # output channels of one of its threadgroups
MAX_TAPS = 16  # bounds the frames it stages: 30 of 256 bytes
WIDE = 64  # output frames from which the large tiles pay


def unsupported(r: CausalConv1dGelu) -> list[str]:
    """Sentences that say why the kernels cannot serve the request; empty when they can."""
    return []


def variant(r: CausalConv1dGelu) -> tuple[str, str]:
    """``vector``, ``tiled`` or ``empty``, and why."""
    if r.n_out == 0:
        return "empty", "The frames do not suffice for an output frame; nothing is launched."
    if r.n_out <= FEW and r.weight.shape[1] <= MAX_TAPS and r.stride <= 2:
        blocks = f"once for every {BLOCK}" if r.n_out > BLOCK else "once, whatever the frames"
        return "vector", f"{r.n_out} output frames: each weight is read {blocks}."
    return "tiled", f"{r.n_out} output frames, {r.weight.shape[1]} taps: matrix tiles share weights and frames."


def tiles(r: CausalConv1dGelu) -> tuple[int, int]:
    """Output frames and channels of a tile."""
    return (64, 64) if r.n_out >= WIDE else (32, 32)


def cpu_variant(r: CausalConv1dGelu, lanes: int) -> tuple[str, str]:
    """What the extension does on a CPU with vectors of ``lanes`` floats, and why."""
    most = lanes // 2
    if r.n_out <= most:
        return "vector", f"At most {most} frames: lanes run along the sum, and each weight is read once."
    return "tiled", f"More than {most} frames: lanes run along frames, over packed blocks of the input."


def template(r: CausalConv1dGelu) -> list[tuple[str, Any]]:
    """The template arguments: dtypes, sizes and options; nothing that changes as a stream moves."""
    if variant(r)[0] == "vector":
        sizes = [("F", min(BLOCK, 1 << (r.n_out - 1).bit_length()))]
    else:
        sizes = list(zip(("BM", "BN"), tiles(r), strict=True))
    taps = [("T", r.x.dtype), ("K", r.weight.shape[1]), ("STRIDE", r.stride)]
    return [*taps, *sizes, ("HAS_BIAS", r.bias is not None), ("GELU", r.gelu)]


def canary(r: CausalConv1dGelu) -> CausalConv1dGelu:
    """A small request with the same template arguments: state, zeros on both sides, ragged channels."""
    dtype, taps, vector = r.x.dtype, r.weight.shape[1], variant(r)[0] == "vector"
    c_in = 41
    n_out = r.n_out if vector else tiles(r)[0] + 5
    frames = (n_out - 1) * r.stride + taps
    pad = 1 if frames > 3 else 0
    context = None if frames < 2 else normal(1, (1, 1, c_in), dtype)
    x = normal(0, (1, frames - 2 * pad - (0 if context is None else 1), c_in), dtype)
    weight = normal(2, (41, taps, c_in), dtype, (taps * c_in) ** -0.5)
    bias = None if r.bias is None else normal(3, (41,), dtype)
    return CausalConv1dGelu(x, weight, bias, context, r.stride, pad, pad, r.gelu)


def launch(r: CausalConv1dGelu, factory: Factory, stream: mx.Stream | mx.Device | None) -> mx.array:
    """``[B, T_out, C_out]``."""
    batch, c_out = r.x.shape[0], r.weight.shape[0]
    if r.n_out == 0:
        return mx.zeros((batch, 0, c_out), r.x.dtype)
    name = variant(r)[0]
    if name == "vector":
        grid, threads = (256 * -(-c_out // CHANNELS), -(-r.n_out // BLOCK), batch), 256
    else:
        bm, bn = tiles(r)
        grid, threads = (128 * -(-c_out // bn), -(-r.n_out // bm), batch), 128
    # An operand that is absent is not read: x or weight stands in its place.
    context = r.x if r.n_context == 0 else r.context
    x = context if r.x.size == 0 else r.x
    return kernel(factory, FILE, f"causal_conv1d_gelu_{name}", INPUTS, ("y",))(
        inputs=[
            x,
            context,
            r.weight,
            r.weight if r.bias is None else r.bias,
            ints(r.pad_left, r.n_context, r.n_out, r.x.shape[1]),
        ],
        template=template(r),
        grid=grid,
        threadgroup=(threads, 1, 1),
        output_shapes=[(batch, r.n_out, c_out)],
        output_dtypes=[r.x.dtype],
        stream=stream,
    )[0]
