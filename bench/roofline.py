"""Measured ceilings of this machine: copy bandwidth and matmul rate."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import mlx.core as mx

from .timing import single

COPY_BYTES = 64 << 20
MATMUL_SIZE = 1024


@dataclass(frozen=True)
class Roofline:
    """Ceilings to hold a kernel against."""

    copy_gb_per_s: float  # bytes read plus bytes written
    matmul_gflop_per_s: float

    def seconds(self, n_bytes: int, flops: int) -> float:
        """The least time that these ceilings allow for this much traffic and arithmetic."""
        return max(n_bytes / self.copy_gb_per_s, flops / self.matmul_gflop_per_s) / 1e9


@functools.cache
def measure() -> Roofline:
    """Best of several runs of a large copy and of a square float32 matmul, on MLX's default device."""
    source = mx.zeros((COPY_BYTES // 4,), mx.float32)
    square = mx.ones((MATMUL_SIZE, MATMUL_SIZE), mx.float32)
    mx.eval(source, square)
    copy = min(single(lambda: mx.array(source) + 0.0, samples=5, sample_seconds=0.05))
    matmul = min(single(lambda: square @ square, samples=3, sample_seconds=0.05))
    return Roofline(2 * COPY_BYTES / copy / 1e9, 2 * MATMUL_SIZE**3 / matmul / 1e9)
