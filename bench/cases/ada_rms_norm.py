"""Shapes of ada_rms_norm on the hot path."""

from __future__ import annotations

from voxtral_kernels.reference.ada_rms_norm import Case

from . import BenchCase, Suite


def least_bytes(c: Case, itemsize: int) -> int:
    """x (and residual) in, y (and h) out, weight and scale rows once."""
    rows = c.B * c.L * c.D
    scales = {"none": 0, "batch": c.B}.get(c.scale, 1) * c.D * (4 if c.scale == "float32" else itemsize)
    return itemsize * ((4 if c.residual else 2) * rows + c.weight * c.D) + scales


SUITE = Suite(
    op="ada_rms_norm",
    least_bytes=least_bytes,
    flops=lambda c: 6 * c.B * c.L * c.D,
    cases=[
        BenchCase("decode", Case(1, 1, 3072, scale="row", residual=True), why="26 per 80 ms token; launch-bound"),
        BenchCase("encoder step", Case(1, 4, 1280, residual=True), why="64 per 80 ms token"),
        BenchCase("prefill", Case(1, 39, 3072, scale="row", residual=True), why="time to first token"),
        BenchCase("batch encode", Case(1, 256, 1280, residual=True), why="files"),
    ],
)
