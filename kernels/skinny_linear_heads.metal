// Formula   y = epilogue(rsqrt(mean(h^2) + eps) (h norm (1 + scale)) W^T + bias), h = x or T(x + residual)
// Layout    x, residual, h: [rows, K]; weight [N, K], affine: words [N, K BITS / 32], scales, biases [N, K / group]
// Grid      a threadgroup per 4 COLUMNS columns of each of its simdgroups, 8 lanes a column; then the tails
// Numerics  float32, y rounded once; a row's sums have one order, whatever the rows, ROWS and the threadgroup's size
// Traffic   every weight once; x and residual once a threadgroup, norm and scale too (scales of their own: once a row)
// Limits    rows <= ROWS, ROWS one of 1, 2, 4, 8, 16; heads: D a multiple of 4
// Source    gemv with lanes along K as in MLX; Zhang & Sennrich 2019, Shazeer 2020, Su et al. 2021
#include <metal_stdlib>

#include "common/packed.h"
#include "common/reduce.h"
#include "common/weight_piece.h"
#include "common/skinny_rows.h"

using namespace metal;

// layout = {n_heads, n_kv_heads, length, tail, D, turns}
template <typename T>
METAL_FUNC void skinny_linear_split(float2 sums, const device float* rotation, const constant int* layout,
                                    device T* out_q, device T* out_k, device T* out_v, uint row, uint column) {
  const uint n_heads = layout[0];
  const uint n_kv_heads = layout[1];
  const uint length = layout[2];
  const uint dim = layout[4];
  uint head = column / dim;
  if (head >= n_heads + 2 * n_kv_heads) {
    return;
  }
  const uint d = column % dim;
  if (head < n_heads + n_kv_heads) {
    const device float* angle = rotation + (row % layout[5]) * dim + d;
    sums = float2(fma(sums.x, angle[0], -(sums.y * angle[1])), fma(sums.x, angle[1], sums.y * angle[0]));
  }
  device T* out = out_q;
  uint heads = n_heads;
  uint tail = 0;
  if (head >= n_heads) {
    head -= n_heads;
    out = head < n_kv_heads ? out_k : out_v;
    head -= head < n_kv_heads ? 0 : n_kv_heads;
    heads = n_kv_heads;
    tail = layout[3];
  }
  const size_t to = (size_t(row / length) * heads + head) * (tail + length) + tail + row % length;
  Packed<T, 2> rounded;
  rounded.v[0] = T(sums.x);
  rounded.v[1] = T(sums.y);
  store_packed<2>(out + to * dim + d, rounded);
}

// Four elements of both tails.
template <typename T, typename A>
METAL_FUNC void skinny_linear_tails(A tail_k, A tail_v, const constant int* sizes, const constant int* layout,
                                    device T* out_k, device T* out_v, size_t at) {
  if (at < size_t(sizes[0] / layout[2]) * layout[1] * layout[3] * layout[4]) {
    const size_t to = at + at / (layout[3] * layout[4]) * (layout[2] * layout[4]);
    store_packed<4>(out_k + to, load_packed<4>(tail_k + at));
    store_packed<4>(out_v + to, load_packed<4>(tail_v + at));
  }
}

// Entry points: whole for the extension; between BODY and END for mx.fast.metal_kernel, which writes the signature.
template <typename T, typename U, typename S, int BITS, int V, int ROWS, int COLUMNS>
[[kernel]] void skinny_linear_heads_kernel(
    const device T* x [[buffer(0)]], const device typename WeightWord<T, BITS>::Type* weight [[buffer(1)]],
    const device S* scales [[buffer(2)]], const device S* biases [[buffer(3)]], const device T* bias [[buffer(4)]],
    const device T* norm [[buffer(5)]], const device U* scale [[buffer(6)]], const device float* rotation [[buffer(7)]],
    const device T* tail_k [[buffer(8)]], const device T* tail_v [[buffer(9)]],
    const constant int* sizes [[buffer(10)]], const constant int* layout [[buffer(11)]],
    const constant float* eps [[buffer(12)]], device T* out_q [[buffer(13)]], device T* out_k [[buffer(14)]],
    device T* out_v [[buffer(15)]], uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
    uint3 thread_position_in_threadgroup [[thread_position_in_threadgroup]],
    uint3 threads_per_threadgroup [[threads_per_threadgroup]],
    uint thread_index_in_simdgroup [[thread_index_in_simdgroup]],
    uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
  // BODY skinny_linear_heads
  threadgroup float4 staged[Stage<ROWS>::FLOAT4S];
  threadgroup float4 gains[Stage<ROWS>::GAINS];
  threadgroup float partial[16];
  const uint tid = thread_position_in_threadgroup.x;
  const uint n_threads = threads_per_threadgroup.x;
  const uint pairs = n_threads / 16 * COLUMNS;
  const uint group = threadgroup_position_in_grid.x;
  const uint groups = (uint(sizes[2]) + 2 * pairs - 1) / (2 * pairs);
  if (group >= groups) {
    skinny_linear_tails<T>(tail_k, tail_v, sizes, layout, out_k, out_v, 4 * (size_t(group - groups) * n_threads + tid));
    return;
  }
  skinny_linear<T, U, S, BITS, V, ROWS, COLUMNS>(x, weight, scales, biases, norm, scale, x, sizes, eps[0], out_q,
                                                 staged, gains, partial, group, n_threads / 32,
                                                 thread_index_in_simdgroup, simdgroup_index_in_threadgroup);
  for (uint i = tid; i < uint(sizes[0]) * pairs; i += n_threads) {
    const uint row = i / pairs;
    const uint column = 2 * (group * pairs + i % pairs);
    const float2 sums = skinny_linear_pair<T>(staged, partial, bias, sizes, row, column, i);
    skinny_linear_split<T>(sums, rotation, layout, out_q, out_k, out_v, row, column);
  }
  // END
}

template <typename T, typename U, typename S, int BITS, int V, int ROWS, int COLUMNS>
[[kernel]] void skinny_linear_heads_residual_kernel(
    const device T* x [[buffer(0)]], const device typename WeightWord<T, BITS>::Type* weight [[buffer(1)]],
    const device S* scales [[buffer(2)]], const device S* biases [[buffer(3)]], const device T* bias [[buffer(4)]],
    const device T* norm [[buffer(5)]], const device U* scale [[buffer(6)]], const device T* residual [[buffer(7)]],
    const device float* rotation [[buffer(8)]], const device T* tail_k [[buffer(9)]],
    const device T* tail_v [[buffer(10)]], const constant int* sizes [[buffer(11)]],
    const constant int* layout [[buffer(12)]], const constant float* eps [[buffer(13)]], device T* out_q [[buffer(14)]],
    device T* out_k [[buffer(15)]], device T* out_v [[buffer(16)]], device T* h [[buffer(17)]],
    uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
    uint3 thread_position_in_threadgroup [[thread_position_in_threadgroup]],
    uint3 threads_per_threadgroup [[threads_per_threadgroup]],
    uint thread_index_in_simdgroup [[thread_index_in_simdgroup]],
    uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
  // BODY skinny_linear_heads_residual
  threadgroup float4 staged[Stage<ROWS>::FLOAT4S];
  threadgroup float4 gains[Stage<ROWS>::GAINS];
  threadgroup float partial[16];
  const uint tid = thread_position_in_threadgroup.x;
  const uint n_threads = threads_per_threadgroup.x;
  const uint pairs = n_threads / 16 * COLUMNS;
  const uint group = threadgroup_position_in_grid.x;
  const uint groups = (uint(sizes[2]) + 2 * pairs - 1) / (2 * pairs);
  if (group >= groups) {
    skinny_linear_tails<T>(tail_k, tail_v, sizes, layout, out_k, out_v, 4 * (size_t(group - groups) * n_threads + tid));
    return;
  }
  skinny_linear<T, U, S, BITS, V, ROWS, COLUMNS>(x, weight, scales, biases, norm, scale, residual, sizes, eps[0], h,
                                                 staged, gains, partial, group, n_threads / 32,
                                                 thread_index_in_simdgroup, simdgroup_index_in_threadgroup);
  for (uint i = tid; i < uint(sizes[0]) * pairs; i += n_threads) {
    const uint row = i / pairs;
    const uint column = 2 * (group * pairs + i % pairs);
    const float2 sums = skinny_linear_pair<T>(staged, partial, bias, sizes, row, column, i);
    skinny_linear_split<T>(sums, rotation, layout, out_q, out_k, out_v, row, column);
  }
  // END
}
