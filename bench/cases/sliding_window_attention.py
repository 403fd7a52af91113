"""Shapes of sliding_window_attention on the hot path."""

from __future__ import annotations

import mlx.core as mx

from voxtral_kernels.reference.ring import SCALE
from voxtral_kernels.reference.sliding_window_attention import Case

from . import BenchCase, Suite


def visible(c: Case) -> int:
    """Query-key pairs that the window lets through, per head."""
    window = c.window or c.past + c.L
    return sum(min(window, c.past + i + 1) for i in range(c.L))


def least_bytes(c: Case, itemsize: int) -> int:
    """Each visible key and value once, queries in, outputs out; of a ring of 8 bits the bytes and their scales."""
    keys = min(c.past + c.L, (c.window or c.past + c.L) + c.L - 1)
    return c.B * (2 * c.Hkv * row_bytes(c, keys, itemsize) + itemsize * c.D * 2 * c.Hq * c.L)


def row_bytes(c: Case, keys: int, itemsize: int) -> int:
    """Of the newest ``keys`` rows of one head's keys, in ring and tail."""
    in_tail = keys if c.bits != 8 else min(keys, c.tail + c.L)
    return in_tail * c.D * itemsize + (keys - in_tail) * (c.D + SCALE)


SUITE = Suite(
    op="sliding_window_attention",
    least_bytes=least_bytes,
    flops=lambda c: 4 * c.B * c.Hq * c.D * visible(c),
    cases=[
        BenchCase("decode, window full", Case(1, 32, 8, 1, 128, 8192, past=8300, tail=64), why="26 per 80 ms token"),
        BenchCase("decode, 1 minute", Case(1, 32, 8, 1, 128, 8192, past=789, tail=64), why="26 per 80 ms token"),
        BenchCase("decode, draft of 4", Case(1, 32, 8, 4, 128, 8192, past=8300, tail=64), why="a verified draft"),
        BenchCase("encoder, live", Case(1, 32, 32, 4, 64, 750, past=800, tail=32), why="32 per 80 ms token"),
        BenchCase("encoder, 64 frames", Case(1, 32, 32, 64, 64, 750, past=800, tail=32), why="a feed of 1.28 s"),
        BenchCase(
            "encoder, file", Case(1, 8, 8, 256, 64, 750, past=1500), why="files; 8 of 32 heads", dtypes=(mx.float32,)
        ),
    ],
)
