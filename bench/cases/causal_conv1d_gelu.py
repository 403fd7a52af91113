"""Shapes of causal_conv1d_gelu on the hot path."""

from __future__ import annotations

import mlx.core as mx

from voxtral_kernels.reference.causal_conv1d_gelu import Case

from . import BenchCase, Suite


def n_out(c: Case) -> int:
    """Output frames."""
    frames = c.T + (c.context if c.context is not None else 2 * c.padding)
    return max(0, (frames - c.K) // c.stride + 1)


def least_bytes(c: Case, itemsize: int) -> int:
    """Frames and weights in once, outputs out once."""
    frames = c.B * (c.T + (c.context or 0)) * c.C_in
    return itemsize * (frames + c.C_out * (c.K * c.C_in + c.bias) + c.B * n_out(c) * c.C_out)


SUITE = Suite(
    op="causal_conv1d_gelu",
    least_bytes=least_bytes,
    flops=lambda c: 2 * c.B * n_out(c) * c.C_out * c.K * c.C_in,
    cases=[
        BenchCase("conv1, live", Case(1, 8, 128, 1280, context=2), why="one 80 ms token of audio"),
        BenchCase("conv2, live", Case(1, 8, 1280, 1280, stride=2, context=1), why="one 80 ms token of audio"),
        BenchCase("conv1, 64 frames", Case(1, 64, 128, 1280, context=2), why="a feed of 0.64 s"),
        BenchCase("conv2, 64 frames", Case(1, 64, 1280, 1280, stride=2, context=1), why="a feed of 0.64 s"),
        BenchCase("conv1, offline", Case(1, 3000, 128, 1280, padding=1), why="30 s window", dtypes=(mx.float32,)),
    ],
)
