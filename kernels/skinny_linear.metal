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
#include "common/silu.h"
#include "common/weight_piece.h"
#include "common/skinny_rows.h"

using namespace metal;

template <typename T, typename A>
METAL_FUNC void skinny_linear_store(float2 sums, A add, device T* y, uint n, int options, uint row, uint column) {
  if (column >= n) {
    return;
  }
  if (options & kGated) {
    y[row * (n / 2) + column / 2] = T(silu(sums.x) * sums.y);
    return;
  }
  if (options & kAdd) {
    const Packed<T, 2> added = load_bounded<T, 2>(add + row * n, column, n);
    sums += float2(float(added.v[0]), float(added.v[1]));
  }
  Packed<T, 2> rounded;
  rounded.v[0] = T(sums.x);
  rounded.v[1] = T(sums.y);
  store_bounded<T, 2>(y + row * n, column, n, rounded);
}

// Entry points: whole for the extension; between BODY and END for mx.fast.metal_kernel, which writes the signature.
template <typename T, typename U, typename S, int BITS, int V, int ROWS, int COLUMNS>
[[kernel]] void skinny_linear_kernel(const device T* x [[buffer(0)]],
                                     const device typename WeightWord<T, BITS>::Type* weight [[buffer(1)]],
                                     const device S* scales [[buffer(2)]], const device S* biases [[buffer(3)]],
                                     const device T* bias [[buffer(4)]], const device T* norm [[buffer(5)]],
                                     const device U* scale [[buffer(6)]], const device T* add [[buffer(7)]],
                                     const constant int* sizes [[buffer(8)]], const constant float* eps [[buffer(9)]],
                                     device T* y [[buffer(10)]],
                                     uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
                                     uint3 thread_position_in_threadgroup [[thread_position_in_threadgroup]],
                                     uint3 threads_per_threadgroup [[threads_per_threadgroup]],
                                     uint thread_index_in_simdgroup [[thread_index_in_simdgroup]],
                                     uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
  // BODY skinny_linear
  threadgroup float4 staged[Stage<ROWS>::FLOAT4S];
  threadgroup float4 gains[Stage<ROWS>::GAINS];
  threadgroup float partial[16];
  const uint tid = thread_position_in_threadgroup.x;
  const uint n_threads = threads_per_threadgroup.x;
  const uint pairs = n_threads / 16 * COLUMNS;
  const uint group = threadgroup_position_in_grid.x;
  skinny_linear<T, U, S, BITS, V, ROWS, COLUMNS>(x, weight, scales, biases, norm, scale, x, sizes, eps[0], y, staged,
                                                 gains, partial, group, n_threads / 32, thread_index_in_simdgroup,
                                                 simdgroup_index_in_threadgroup);
  for (uint i = tid; i < uint(sizes[0]) * pairs; i += n_threads) {
    const uint row = i / pairs;
    const uint column = 2 * (group * pairs + i % pairs);
    const float2 sums = skinny_linear_pair<T>(staged, partial, bias, sizes, row, column, i);
    skinny_linear_store<T>(sums, add, y, sizes[2], sizes[3], row, column);
  }
  // END
}

template <typename T, typename U, typename S, int BITS, int V, int ROWS, int COLUMNS>
[[kernel]] void skinny_linear_residual_kernel(
    const device T* x [[buffer(0)]], const device typename WeightWord<T, BITS>::Type* weight [[buffer(1)]],
    const device S* scales [[buffer(2)]], const device S* biases [[buffer(3)]], const device T* bias [[buffer(4)]],
    const device T* norm [[buffer(5)]], const device U* scale [[buffer(6)]], const device T* residual [[buffer(7)]],
    const device T* add [[buffer(8)]], const constant int* sizes [[buffer(9)]],
    const constant float* eps [[buffer(10)]], device T* y [[buffer(11)]], device T* h [[buffer(12)]],
    uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
    uint3 thread_position_in_threadgroup [[thread_position_in_threadgroup]],
    uint3 threads_per_threadgroup [[threads_per_threadgroup]],
    uint thread_index_in_simdgroup [[thread_index_in_simdgroup]],
    uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
  // BODY skinny_linear_residual
  threadgroup float4 staged[Stage<ROWS>::FLOAT4S];
  threadgroup float4 gains[Stage<ROWS>::GAINS];
  threadgroup float partial[16];
  const uint tid = thread_position_in_threadgroup.x;
  const uint n_threads = threads_per_threadgroup.x;
  const uint pairs = n_threads / 16 * COLUMNS;
  const uint group = threadgroup_position_in_grid.x;
  skinny_linear<T, U, S, BITS, V, ROWS, COLUMNS>(x, weight, scales, biases, norm, scale, residual, sizes, eps[0], h,
                                                 staged, gains, partial, group, n_threads / 32,
                                                 thread_index_in_simdgroup, simdgroup_index_in_threadgroup);
  for (uint i = tid; i < uint(sizes[0]) * pairs; i += n_threads) {
    const uint row = i / pairs;
    const uint column = 2 * (group * pairs + i % pairs);
    const float2 sums = skinny_linear_pair<T>(staged, partial, bias, sizes, row, column, i);
    skinny_linear_store<T>(sums, add, y, sizes[2], sizes[3], row, column);
  }
  // END
}
