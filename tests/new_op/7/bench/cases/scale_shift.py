"""Shapes of scale_shift on the hot path."""

from __future__ import annotations

from voxtral_kernels.reference.scale_shift import Case

from . import BenchCase, Suite


def least_bytes(c: Case, itemsize: int) -> int:
    """x in, y out, scale and shift once."""
    return itemsize * 2 * (c.B + 1) * c.D


SUITE = Suite(
    op="scale_shift",
    least_bytes=least_bytes,
    flops=lambda c: 2 * c.B * c.D,
    cases=[BenchCase("decode", Case(1, 3072), why="a worked example")],
)
