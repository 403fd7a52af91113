"""MLX's own ``sdpa_vector``, from the installed wheel's headers, counted on the shapes of ours."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np

from voxtral_kernels import emulator
from voxtral_kernels.reference.sliding_window_attention import Case

from ..cases.sliding_window_attention import least_bytes

SOURCE = '#include "mlx/backend/metal/kernels/utils.h"\n#include "mlx/backend/metal/kernels/sdpa_vector.h"\n'
# Function constants 20 to 26: no mask, no causal bound, no sinks, one query row a head.
CONSTANTS = {**dict.fromkeys(range(20, 26), False), 26: 1}
THREADS = 1024


def count(name: str, case: Case, row: type) -> Any:
    """One launch over the window's keys in order, as a host must first have unwrapped them; bfloat16."""
    keys = min(case.window or case.past + 1, case.past + 1)
    library = emulator.library(SOURCE, mode="counted", path="sdpa_vector.metal")
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> mx.array:
        return mx.array(rng.normal(size=shape).astype(np.float32)).astype(mx.bfloat16)

    kv = (1, case.Hkv, keys, case.D)
    q = normal(1, case.Hq, 1, case.D)
    head, sequence = np.array([keys * case.D], np.uint64), np.array([case.D], np.uint64)
    buffers: dict[int, Any] = {
        **{0: q, 1: normal(*kv), 2: normal(*kv), 3: mx.zeros_like(q)},
        **{4: np.array([case.Hq // case.Hkv], np.int32), 5: np.array([keys], np.int32)},
        **{6: head, 7: sequence, 8: head, 9: sequence, 10: np.array([case.D**-0.5], np.float32)},
    }
    entry = f"sdpa_vector<bfloat16_t, {case.D}, {case.D}>"
    library.run(entry, buffers, (case.Hq * THREADS, 1, 1), (THREADS, 1, 1), CONSTANTS, outputs=[3])
    counters = library.report.counters
    device = [counters["buffers"][n] for n in ("queries", "keys", "values", "out")]
    local = counters["threadgroup_memory"].values()
    total = sum(t["bytes_read"] + t["bytes_written"] for t in device)
    return row(
        f"MLX sdpa_vector, {name}, L = 1, bfloat16",
        "sdpa_vector",
        total,
        total / least_bytes(case, 2),
        0.0,
        sum(t["segments"] for t in device) / sum(t["ideal_segments"] for t in device),
        sum(t["bank_conflicts"] for t in local),
        counters["barriers"],
        sum(t["bytes_read"] + t["bytes_written"] for t in local),
        [],
    )
