"""Measured ceilings of this machine: copy bandwidth and matmul rate."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np

from voxtral_kernels.backends import select

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
    """Best of several runs of a large copy and of a square float32 matmul.

    On MLX's default device; on a CPU by NumPy, whose BLAS is nearer to what the machine can do than stock MLX on Linux.
    """
    on_cpu = select.device_type(None) == mx.cpu
    library: Any = np if on_cpu else mx
    source = library.zeros((COPY_BYTES // 4,), library.float32)
    square = library.ones((MATMUL_SIZE, MATMUL_SIZE), library.float32)
    if not on_cpu:
        mx.eval(source, square)
    copy = min(single(lambda: _done(source + 1), samples=5, sample_seconds=0.05))
    matmul = min(single(lambda: _done(square @ square), samples=3, sample_seconds=0.05))
    return Roofline(2 * COPY_BYTES / copy / 1e9, 2 * MATMUL_SIZE**3 / matmul / 1e9)


def _done(result: Any) -> mx.array | None:
    """What `timing` should wait for: nothing for NumPy's."""
    return result if isinstance(result, mx.array) else None
