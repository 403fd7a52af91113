"""One threadgroup hands its results to another: a fence of device scope, then an atomic operation that it meets."""

import numpy as np
import pytest

from voxtral_kernels import emulator

FENCE = "atomic_thread_fence(mem_flags::mem_device, memory_order_seq_cst, thread_scope_device);"
TEXT = """#include <metal_stdlib>
using namespace metal;
#define BEFORE {before}
#define AFTER {after}
kernel void last_sums(device const float* x [[buffer(0)]], device float* part [[buffer(1)]],
                      device atomic_uint* count [[buffer(2)]], device float* y [[buffer(3)]],
                      uint i [[thread_position_in_grid]], uint t [[thread_position_in_threadgroup]],
                      uint g [[threadgroup_position_in_grid]], uint n [[threadgroups_per_grid]]) {{
  threadgroup bool last;
  float sum = simd_sum(x[i]);
  if (t == 0) {{
    part[g] = sum;
    BEFORE
    last = atomic_fetch_add_explicit(count, 1, memory_order_relaxed) == n - 1;
    AFTER
  }}
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (last && t == 0) {{
    y[0] = 0;
    for (uint k = 0; k < n; ++k) y[0] += part[k];
  }}
}}
"""
WITHOUT = {
    "no fence": ("", ""),
    "fence behind the operation": ("", FENCE),
    "of threadgroup memory": (FENCE.replace("mem_device", "mem_threadgroup"), ""),
    "of threadgroup scope": (FENCE.replace("scope_device", "scope_threadgroup"), ""),
    "relaxed": (FENCE.replace("seq_cst", "relaxed"), ""),
    "some of them": (f"if (g % 2) {FENCE}", ""),
}


def found(before, after, seed=0):
    x = np.arange(128, dtype=np.float32)
    buffers = {0: x, 1: np.zeros(4, np.float32), 2: np.zeros(1, np.uint32), 3: np.zeros(1, np.float32)}
    text = TEXT.format(before=before, after=after)
    library = emulator.library(text, raise_findings=False, language_version="3.2")
    sizes = ((128, 1, 1), (32, 1, 1))
    (y,) = library.run("last_sums", buffers, *sizes, outputs=[3, 1, 2], uninitialised=[1, 3], seed=seed)[:1]
    assert np.array(y) == x.sum()
    return [f.kind for f in library.report.findings]


@pytest.mark.fault("wrong values: the sum by the last threadgroup, fenced as Metal 3.2 has it, reported as a race")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("after", ["", FENCE])
def test_what_a_fence_and_an_operation_release_is_no_race(after, seed):
    assert found(FENCE, after, seed) == []


@pytest.mark.parametrize("name", WITHOUT)
def test_without_them_it_is_one(name):
    assert found(*WITHOUT[name]) == ["race"]
