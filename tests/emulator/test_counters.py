"""Counted mode: exact on kernels whose figures follow by hand."""

import numpy as np
import pytest

from voxtral_kernels import emulator

N = 1024
TEXT = """
#include <metal_stdlib>
using namespace metal;
kernel void contiguous(const device float* x, device float* y, uint i [[thread_position_in_grid]]) { y[i] = x[i]; }
kernel void vectors(const device float4* x, device float4* y, uint i [[thread_position_in_grid]]) { y[i] = x[i]; }
kernel void strided(const device float* x, device float* y, uint i [[thread_position_in_grid]]) { y[i] = x[32 * i]; }
kernel void broadcast(const device float* x, device float* y, uint i [[thread_position_in_grid]]) { y[i] = x[3]; }
kernel void offset(const device float* x, device float* y, uint i [[thread_position_in_grid]]) { y[i] = x[i + 1]; }
kernel void tree(const device float* x, device float* y, uint i [[thread_position_in_grid]],
                 uint lane [[thread_index_in_simdgroup]], uint sg [[simdgroup_index_in_threadgroup]]) {
  threadgroup float partial[8];
  float sum = simd_sum(x[i]);
  if (lane == 0) partial[sg] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (sg == 0) {
    float total = simd_sum(lane < 8 ? partial[lane] : 0.0f);
    if (lane == 0) y[i / 256] = total;
  }
}
kernel void banks(const device float* x, device float* y, constant uint& stride, uint i [[thread_position_in_grid]]) {
  threadgroup float tile[1024];
  for (uint j = i; j < 1024; j += 32) tile[j] = x[i];
  simdgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = tile[i * stride % 1024];
}
kernel void matrices(const device float* x, device float* y) {
  simdgroup_float8x8 m;
  simdgroup_load(m, x, 8);
  simdgroup_multiply_accumulate(m, m, m, m);
  simdgroup_store(m, y, 8);
}
"""


@pytest.fixture(scope="module")
def library():
    return emulator.library(TEXT, mode="counted")


def count(library, entry, n_inputs, n_outputs=N, threads=N, group=256, extra=None):
    buffers = {0: np.arange(n_inputs, dtype=np.float32), 1: np.zeros(n_outputs, np.float32), **(extra or {})}
    library.run(entry, buffers, (threads, 1, 1), (group, 1, 1), outputs=[1])
    return library.report.counters


def test_contiguous_copy_is_ideal(library):
    counters = count(library, "contiguous", N)
    x, y = counters["buffers"]["x"], counters["buffers"]["y"]
    assert x["bytes_read"] == x["distinct_bytes_read"] == y["bytes_written"] == y["distinct_bytes_written"] == 4 * N
    assert x["bytes_written"] == y["bytes_read"] == 0
    for buffer in (x, y):
        assert buffer["accesses"] == N // 32
        assert buffer["segments"] == buffer["ideal_segments"] == 4 * N // 128
    assert (counters["threads"], counters["threadgroups"], counters["barriers"]) == (N, 4, 0)
    assert counters["simd_operations"] == {}


def test_vector_copy_moves_the_same_bytes_in_fewer_accesses(library):
    x = count(library, "vectors", N, threads=N // 4)["buffers"]["x"]
    assert (x["bytes_read"], x["accesses"], x["segments"], x["ideal_segments"]) == (4 * N, N // 128, 32, 32)


def test_strided_copy_touches_one_segment_a_lane(library):
    x = count(library, "strided", 32 * N)["buffers"]["x"]
    assert x["bytes_read"] == x["distinct_bytes_read"] == 4 * N
    assert x["segments"] == N
    assert x["ideal_segments"] == N // 32


def test_broadcast_reads_one_word_again_and_again(library):
    x = count(library, "broadcast", 8)["buffers"]["x"]
    assert (x["bytes_read"], x["distinct_bytes_read"]) == (4 * N, 4)
    assert x["segments"] == x["ideal_segments"] == N // 32


def test_shifted_copy_straddles_segments(library):
    x = count(library, "offset", N + 32)["buffers"]["x"]
    assert x["ideal_segments"] == N // 32
    assert x["segments"] == 2 * (N // 32)  # offsets count from the buffer's start, which MLX aligns


def test_reduction(library):
    counters = count(library, "tree", N, 4)
    partial = counters["threadgroup_memory"]["partial"]
    assert counters["barriers"] == 4
    assert counters["simd_operations"] == {"simd_sum": 4 * (8 + 1)}
    assert counters["threadgroup_memory_bytes"] == 32
    assert (partial["bytes_written"], partial["bytes_read"]) == (4 * 8 * 4, 4 * 8 * 4)
    assert counters["buffers"]["y"]["bytes_written"] == 16


@pytest.mark.parametrize(("stride", "conflicts"), [(1, 0), (2, 1), (4, 3), (32, 31), (33, 0)])
def test_bank_conflicts(library, stride, conflicts):
    extra = {2: np.uint32(stride)}
    tile = count(library, "banks", 32, 32, 32, 32, extra)["threadgroup_memory"]["tile"]
    assert tile["bank_conflicts"] == conflicts


def test_a_matrix_is_one_access(library):
    counters = count(library, "matrices", 64, 64, 32, 32)
    x = counters["buffers"]["x"]
    assert (x["bytes_read"], x["accesses"], x["segments"]) == (256, 1, 2)
    assert counters["simd_operations"]["simdgroup_multiply_accumulate"] == 1


def test_counters_are_there_in_counted_mode_only(library):
    buffers = {0: np.zeros(N, np.float32), 1: np.zeros(N, np.float32)}
    library.run("contiguous", buffers, (N, 1, 1), (256, 1, 1), outputs=[1], mode="checked")
    assert library.report.counters == {}
