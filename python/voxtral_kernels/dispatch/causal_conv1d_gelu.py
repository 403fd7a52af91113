"""Launches ``kernels/causal_conv1d_gelu.metal``."""

from __future__ import annotations

import mlx.core as mx

from .._metal import Factory, ints, kernel
from ..reference.causal_conv1d_gelu import CausalConv1dGelu

FILE = "causal_conv1d_gelu.metal"
INPUTS = ("x", "context", "weight", "bias", "state")
FEW = 8  # output frames that the vector variant takes
CHANNELS = 32  # output channels of one of its threadgroups
MAX_TAPS = 16  # bounds the frames it stages to 32 KB
WIDE = 64  # output frames from which the large tiles pay


def unsupported(r: CausalConv1dGelu) -> list[str]:
    """Sentences that say why the kernels cannot serve the request; empty when they can."""
    return ["There is no output frame; nothing is to be launched."] if r.n_out == 0 else []


def variant(r: CausalConv1dGelu) -> tuple[str, str]:
    """``vector`` or ``tiled``, and why."""
    if r.n_out <= FEW and r.weight.shape[1] <= MAX_TAPS and r.stride <= 2:
        return "vector", f"{r.n_out} output frames: each weight is read once, whatever the frames."
    return "tiled", f"{r.n_out} output frames, {r.weight.shape[1]} taps: matrix tiles share weights and frames."


def tiles(r: CausalConv1dGelu) -> tuple[int, int]:
    """Output frames and channels of a tile."""
    return (64, 64) if r.n_out >= WIDE else (32, 32)


def width(r: CausalConv1dGelu) -> int:
    """Channels a lane of the vector variant takes at once: 16 bytes, less where that would leave lanes idle."""
    widest = 16 // r.x.dtype.size
    return widest if r.x.shape[2] % (32 * widest) == 0 else min(widest, 4)


def launch(r: CausalConv1dGelu, factory: Factory, stream: mx.Stream | mx.Device | None) -> mx.array:
    """``[B, T_out, C_out]``."""
    batch, (c_out, taps, _) = r.x.shape[0], r.weight.shape
    few = variant(r)[0] == "vector"
    if few:
        frames = 1 << (r.n_out - 1).bit_length()
        template = [("F", frames), ("V", width(r))]
        grid, threads = (256 * -(-c_out // CHANNELS), 1, batch), 256
    else:
        bm, bn = tiles(r)
        template = [("BM", bm), ("BN", bn)]
        grid, threads = (128 * -(-c_out // bn), -(-r.n_out // bm), batch), 128
    # An operand that is absent is not read: x or weight stands in its place.
    context = r.x if r.n_context == 0 else r.context
    x = context if r.x.size == 0 else r.x
    name = f"causal_conv1d_gelu_{'vector' if few else 'tiled'}"
    return kernel(factory, FILE, name, INPUTS, ("y",))(
        inputs=[
            x,
            context,
            r.weight,
            r.weight if r.bias is None else r.bias,
            ints(r.pad_left, r.n_context, r.n_out, r.x.shape[1]),
        ],
        template=[
            ("T", r.x.dtype),
            ("K", taps),
            ("STRIDE", r.stride),
            *template,
            ("HAS_BIAS", r.bias is not None),
            ("GELU", r.gelu),
        ],
        grid=grid,
        threadgroup=(threads, 1, 1),
        output_shapes=[(batch, r.n_out, c_out)],
        output_dtypes=[r.x.dtype],
        stream=stream,
    )[0]
