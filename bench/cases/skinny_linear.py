"""Shapes of skinny_linear on the hot path: the projections of the 4B's decoder and encoder layers."""

from __future__ import annotations

from dataclasses import replace

import mlx.core as mx

from voxtral_kernels.reference.skinny_linear import Case

from . import BenchCase, Suite

# A decoder layer's four, and an encoder layer's at 4 frames.
QKV = Case(1, 3072, 0, norm=True, form="heads", heads=(32, 8, 128), tail=64)
OUT = Case(1, 4096, 3072, form="add")
GATE_UP = Case(1, 3072, 9216, norm=True, scale=-1, form="gated")
DOWN = Case(1, 9216, 3072, form="add")
ENCODER_QKV = Case(4, 1280, 0, bias=True, norm=True, form="heads", heads=(32, 32, 64), tail=32)


def columns(c: Case) -> int:
    """Rows of the weight."""
    hq, hkv, dim = c.heads
    return (hq + 2 * hkv) * dim if c.form == "heads" else c.N * (2 if c.form == "gated" else 1)


def weight_bytes(c: Case, itemsize: int) -> int:
    """The weight's, scales and biases included."""
    numbers = columns(c) * c.K
    return (
        numbers * c.bits // 8 + 2 * numbers // c.group * (4 if c.wide else itemsize) if c.bits else numbers * itemsize
    )


def least_bytes(c: Case, itemsize: int) -> int:
    """Every operand once."""
    _, hkv, dim = c.heads
    n, scale = columns(c), max(c.scale, -c.scale) * c.K * (4 if c.scale > 3 else itemsize)
    rows = c.rows * (c.K * (3 if c.residual else 1) + n // (2 if c.form == "gated" else 1) + n * (c.form == "add"))
    rotation = 4 * dim * (c.rows if c.apart else c.rows // c.batch) if c.form == "heads" else 0
    tails = 4 * c.batch * hkv * c.tail * dim if c.form == "heads" else 0
    return weight_bytes(c, itemsize) + scale + rotation + itemsize * (rows + n * c.bias + c.K * c.norm + tails)


SUITE = Suite(
    op="skinny_linear",
    least_bytes=least_bytes,
    flops=lambda c: 2 * c.rows * columns(c) * c.K,
    cases=[
        BenchCase("decoder qkv", QKV, why="26 per 80 ms token", dtypes=(mx.bfloat16,)),
        BenchCase("decoder out", OUT, why="26 per 80 ms token", dtypes=(mx.bfloat16,)),
        BenchCase("decoder gate, up", GATE_UP, why="26 per 80 ms token", dtypes=(mx.bfloat16,)),
        BenchCase("decoder gate, up, 4 rows", replace(GATE_UP, rows=4), why="drafts, streams", dtypes=(mx.bfloat16,)),
        BenchCase("decoder gate, up, 4 bits", replace(GATE_UP, bits=4), why="quantised", dtypes=(mx.bfloat16,)),
        BenchCase("decoder down", DOWN, why="26 per 80 ms token", dtypes=(mx.bfloat16,)),
        BenchCase("encoder qkv", ENCODER_QKV, why="32 per 80 ms token", dtypes=(mx.bfloat16,)),
    ],
)
