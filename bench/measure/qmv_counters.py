"""MLX's own quantised products of few rows, from the installed wheel's headers, counted on the shapes of ours."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np

from voxtral_kernels import emulator
from voxtral_kernels.reference.skinny_linear import Case

from ..cases.skinny_linear import columns, least_bytes

_FILES = ("utils.h", "steel/gemm/gemm.h", "quantized_utils.h", "quantized.h")
SOURCE = "".join(f'#include "mlx/backend/metal/kernels/{file}"\n' for file in _FILES)
BUFFERS = ("w", "scales", "biases", "x", "y")
# Entry points: their template arguments behind dtype, group and bits; columns and rows of a threadgroup; its shape; how
# often their text names each word of 4-bit weights, masking another number of it each time.
KERNELS = {
    "qmv": ("false", 8, 1, (32, 2, 1), 4),
    "qmv_fast": ("false", 8, 1, (32, 2, 1), 4),
    "qmm_t": ("true, false", 32, 32, (32, 2, 2), 2),
}


def count(kernel: str, name: str, case: Case, share: int, row: type) -> Any:
    """One launch as MLX makes it, bfloat16: one of ``share`` parts of the case's columns, as a plain product."""
    arguments, across, down, threads, named = KERNELS[kernel]
    library = emulator.library(SOURCE, mode="counted", path="quantized.metal")
    rng, n = np.random.default_rng(0), columns(case) // share
    x, weight = (
        mx.array(rng.normal(size=shape).astype(np.float32)).astype(mx.bfloat16)
        for shape in ((case.rows, case.K), (n, case.K))
    )
    w, scales, biases = mx.quantize(weight, group_size=case.group, bits=case.bits)
    sizes = [case.K, n, case.rows][: 3 if kernel == "qmm_t" else 2]
    buffers: dict[int, Any] = dict(enumerate((w, scales, biases, x, mx.zeros((case.rows, n), mx.bfloat16))))
    buffers |= {5 + i: np.array([size], np.int32) for i, size in enumerate(sizes)}
    # Strides and shapes of a batch, of which there is none.
    strides = [np.zeros(1, kind) for kind in (np.int32, np.int32, np.int64, np.int32, np.int32, *[np.int64] * 3)]
    buffers |= {5 + len(sizes) + i: value for i, value in enumerate(strides)}
    groups = -(-n // across), -(-case.rows // down)
    x_groups, y_groups = groups if kernel == "qmm_t" else groups[::-1]
    grid = (x_groups * threads[0], y_groups * threads[1], threads[2])
    entry = f"affine_{kernel}<bfloat16_t, {case.group}, {case.bits}, {arguments}>"
    (y,) = library.run(entry, buffers, grid, threads, outputs=[4])
    wide_x, wide_scales, wide_biases = (a.astype(mx.float32) for a in (x, scales, biases))
    expected = mx.quantized_matmul(wide_x, w, wide_scales, wide_biases, group_size=case.group, bits=case.bits)
    assert mx.allclose(y.astype(mx.float32).reshape(expected.shape), expected, rtol=0.05, atol=1.0).item(), entry
    counters = library.report.counters
    device = [counters["buffers"][buffer] for buffer in BUFFERS]
    local = counters["threadgroup_memory"].values()
    total = sum(t["bytes_read"] + t["bytes_written"] for t in device)
    weights, least = counters["buffers"]["w"]["bytes_read"], least_bytes(case, 2) / share
    return row(
        f"MLX {kernel}, {name}, bfloat16",
        kernel,
        total,
        total / least,
        0.0,
        sum(t["segments"] for t in device) / sum(t["ideal_segments"] for t in device),
        sum(t["bank_conflicts"] for t in local),
        counters["barriers"],
        sum(t["bytes_read"] + t["bytes_written"] for t in local),
        [],
        weights=weights / w.nbytes,
        joined=(total - weights + weights / named) / least,
    )
