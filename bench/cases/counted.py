"""The shapes that ``python -m bench counters`` counts, and the most that each may move."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import mlx.core as mx

from voxtral_kernels.reference.ada_rms_norm import Case as Norm
from voxtral_kernels.reference.causal_conv1d_gelu import Case as Conv
from voxtral_kernels.reference.sliding_window_attention import Case as Attention

from . import skinny_linear as skinny

SEGMENTS = 1.10


@dataclass(frozen=True)
class Gate:
    """A shape, and how much more than the least possible traffic it may move; None: no bound but the derived figure."""

    name: str
    op: str
    case: Any
    least: float | None = None
    dtype: mx.Dtype = mx.bfloat16
    weights_once: bool = False
    segments: float = SEGMENTS
    share: int = 1  # counted is one of so many parts of the columns, on such a part of a GPU
    of_16_bits: float | None = None  # most bytes of the caches, as a share of those of 16 bits

    @property
    def title(self) -> str:
        """Name and dtype, as the table has them."""
        return f"{self.name}, {str(self.dtype).rpartition('.')[2]}"


ENCODER = Attention(1, 32, 32, 1, 64, 750, past=2000, tail=40)
DECODER = Attention(1, 32, 8, 1, 128, 8192, past=20000, tail=100)
BYTES = replace(DECODER, bits=8)
GATES = [
    Gate("attention, encoder, L = 1", "sliding_window_attention", ENCODER, 1.05),
    Gate("attention, decoder, L = 1", "sliding_window_attention", DECODER, 1.05),
    Gate("attention, decoder, L = 1", "sliding_window_attention", DECODER, 1.05, mx.float32),
    Gate("attention, decoder, L = 1, 8 bits", "sliding_window_attention", BYTES, 1.05, of_16_bits=0.53),
    Gate("attention, encoder, L = 1, 8 bits", "sliding_window_attention", replace(ENCODER, bits=8), 1.05),
    Gate(
        "attention, encoder, L = 4",
        "sliding_window_attention",
        Attention(1, 32, 32, 4, 64, 750, past=2000, tail=40),
    ),
    Gate("attention, encoder, L = 8", "sliding_window_attention", replace(ENCODER, L=8), 1.05),
    Gate("attention, encoder, L = 12", "sliding_window_attention", replace(ENCODER, L=12), 1.05),
    Gate("attention, decoder, L = 4", "sliding_window_attention", replace(DECODER, L=4), 1.10),
    Gate("attention, decoder, L = 8", "sliding_window_attention", replace(DECODER, L=8), 1.20),
    Gate("attention, encoder, L = 64", "sliding_window_attention", Attention(1, 8, 8, 64, 64, 750, past=2000, tail=40)),
    Gate("attention, encoder, L = 200", "sliding_window_attention", Attention(1, 4, 4, 200, 64, 750)),
    Gate("attention, decoder, prefill", "sliding_window_attention", Attention(1, 32, 8, 39, 128, 8192)),
    Gate("ada_rms_norm, 1 row", "ada_rms_norm", Norm(1, 1, 3072, scale="row", residual=True), 1.05),
    Gate("ada_rms_norm, 1 row", "ada_rms_norm", Norm(1, 1, 3072, scale="row"), 1.05, mx.float32),
    Gate("ada_rms_norm, 39 rows", "ada_rms_norm", Norm(1, 39, 3072, scale="row", residual=True)),
    Gate("conv1, 8 frames", "causal_conv1d_gelu", Conv(1, 8, 128, 1280, context=2), 1.25, weights_once=True),
    Gate(
        "conv2, 8 frames", "causal_conv1d_gelu", Conv(1, 16, 1280, 1280, stride=2, context=1), 1.25, weights_once=True
    ),
    Gate("conv2, 4 frames", "causal_conv1d_gelu", Conv(1, 8, 1280, 1280, 3, 2, context=1), 1.25, weights_once=True),
    Gate("conv1, 64 frames", "causal_conv1d_gelu", Conv(1, 64, 128, 1280, context=2)),
    Gate("conv2, 64 frames", "causal_conv1d_gelu", Conv(1, 128, 1280, 256, stride=2, context=1)),
]
SHAPES = {"qkv": skinny.QKV, "out": skinny.OUT, "gate, up": skinny.GATE_UP, "down": skinny.DOWN}


# Beyond one row, the most over the least where threadgroups that read little of x again would be too few to fill a GPU,
# or their sums too many for its registers: docs/kernels.md.
FEW_ROWS = {(4, 0): 1.05, (8, 0): 1.05, (16, 0): 1.11, (1, 4): 1.05, (4, 4): 1.12, (8, 4): 1.20, (16, 4): 1.51}
SCATTERED = {("down", 4): 1.10}  # its rows of scales, of 288 bytes, do not begin at segments


def part_of(case: Any, share: int) -> Any:
    """The shape with a share of its columns: what a threadgroup moves does not depend on their number."""
    if share == 1:
        return case
    hq, hkv, dim = case.heads
    return replace(case, N=case.N // share, heads=(hq // share, hkv // share, dim))


def share_of(rows: int) -> int:
    """A quarter, an eighth for 16 rows."""
    return 8 if rows == 16 else 4


GATES += [Gate(f"{n}, 1 row", "skinny_linear", c, 1.05, weights_once=True, segments=1.05) for n, c in SHAPES.items()]
GATES += [
    Gate(
        f"{name}, {rows} row{'s' * (rows > 1)}, {bits or 16} bits",
        "skinny_linear",
        replace(shape, rows=rows, bits=bits),
        most,
        weights_once=True,
        segments=SCATTERED.get((name, bits), 1.05),
        share=share_of(rows),
    )
    for (rows, bits), most in FEW_ROWS.items()
    for name, shape in SHAPES.items()
]
