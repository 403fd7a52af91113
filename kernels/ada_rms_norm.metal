// Formula   y = h * rsqrt(mean(h^2) + eps) * weight * (1 + scale), h = x or T(x + residual)
// Layout    x, residual, y, h: [rows, dim] row-contiguous; weight: [dim]; scale: [rows / rows_per_scale, dim]
// Grid      one threadgroup per row, a multiple of 32 threads; a thread takes PIECES pieces of V elements, then more
// Numerics  sum of squares and product in float32; h and y rounded once, at their store
// Traffic   x, residual, weight, scale, y, h once; looped: what lies past PIECES * V * threads is read twice (x or h)
// Limits    not LOOPED: dim <= PIECES * V * threads; rows_per_scale divides rows
// Source    RMSNorm, Zhang & Sennrich 2019; Voxtral Realtime `ada_rms_norm_t_cond`
#include <metal_stdlib>

#include "common/packed.h"
#include "common/reduce.h"

using namespace metal;

// The row's elements i .. i + V as float: x, or x + residual rounded to T, which then is stored to h.
template <typename T, int V, bool HAS_RESIDUAL, typename X>
METAL_FUNC void ada_rms_norm_load(X x, X residual, device T* h, uint i, uint dim, thread float* out) {
  Packed<T, V> row = load_bounded<T, V>(x, i, dim);
  if (HAS_RESIDUAL) {
    const Packed<T, V> added = load_bounded<T, V>(residual, i, dim);
    for (int j = 0; j < V; ++j) {
      row.v[j] = T(float(row.v[j]) + float(added.v[j]));
    }
    store_bounded<T, V>(h, i, dim, row);
  }
  for (int j = 0; j < V; ++j) {
    out[j] = float(row.v[j]);
  }
}

template <int V>
METAL_FUNC float sum_of_squares(const thread float* value) {
  float sum = 0;
  for (int j = 0; j < V; ++j) {
    sum = fma(value[j], value[j], sum);
  }
  return sum;
}

template <typename T, typename U, int V, bool HAS_WEIGHT, bool HAS_SCALE, typename W, typename S>
METAL_FUNC void ada_rms_norm_store(thread float* value, float inv_rms, W weight, S scale, device T* y, uint i,
                                   uint dim) {
  for (int j = 0; j < V; ++j) {
    value[j] *= inv_rms;
  }
  if (HAS_WEIGHT) {
    const Packed<T, V> gain = load_bounded<T, V>(weight, i, dim);
    for (int j = 0; j < V; ++j) {
      value[j] *= float(gain.v[j]);
    }
  }
  if (HAS_SCALE) {
    const Packed<U, V> condition = load_bounded<U, V>(scale, i, dim);
    for (int j = 0; j < V; ++j) {
      value[j] *= 1 + float(condition.v[j]);
    }
  }
  Packed<T, V> rounded;
  for (int j = 0; j < V; ++j) {
    rounded.v[j] = T(value[j]);
  }
  store_bounded<T, V>(y, i, dim, rounded);
}

template <typename T, typename U, int V, int PIECES, bool LOOPED, bool HAS_WEIGHT, bool HAS_SCALE, bool HAS_RESIDUAL,
          typename X, typename W,
          typename S>
METAL_FUNC void ada_rms_norm(X x,          // [rows, dim]; X, W, S: pointers, device or constant
                             W weight,     // [dim]
                             S scale,      // [rows / rows_per_scale, dim], of U
                             X residual,   // [rows, dim]
                             device T* y,  // [rows, dim]
                             device T* h,  // [rows, dim]
                             uint dim, uint rows_per_scale, float eps,
                             threadgroup float* partial,  // [kSimd]
                             uint row, uint tid, uint n_threads, uint lane, uint simd) {
  x += size_t(row) * dim;
  residual += size_t(row) * dim;
  y += size_t(row) * dim;
  h += size_t(row) * dim;
  scale += size_t(row / rows_per_scale) * dim;

  float kept[PIECES][V];
  float sum_sq = 0;
#pragma unroll
  for (uint p = 0; p < PIECES; ++p) {
    const uint i = (p * n_threads + tid) * V;
    if (i < dim) {
      ada_rms_norm_load<T, V, HAS_RESIDUAL>(x, residual, h, i, dim, kept[p]);
      sum_sq += sum_of_squares<V>(kept[p]);
    }
  }
  float value[V];
  for (uint i = (PIECES * n_threads + tid) * V; LOOPED && i < dim; i += n_threads * V) {
    ada_rms_norm_load<T, V, HAS_RESIDUAL>(x, residual, h, i, dim, value);
    sum_sq += sum_of_squares<V>(value);
  }
  sum_sq = threadgroup_sum(sum_sq, partial, lane, simd, n_threads / kSimd);
  const float inv_rms = precise::rsqrt(sum_sq / float(dim) + eps);

#pragma unroll
  for (uint p = 0; p < PIECES; ++p) {
    const uint i = (p * n_threads + tid) * V;
    if (i < dim) {
      ada_rms_norm_store<T, U, V, HAS_WEIGHT, HAS_SCALE>(kept[p], inv_rms, weight, scale, y, i, dim);
    }
  }
  for (uint i = (PIECES * n_threads + tid) * V; LOOPED && i < dim; i += n_threads * V) {
    // A thread reads back only what it wrote to h itself.
    if (HAS_RESIDUAL) {
      ada_rms_norm_load<T, V, false>((const device T*)h, (const device T*)h, h, i, dim, value);
    } else {
      ada_rms_norm_load<T, V, false>(x, x, h, i, dim, value);
    }
    ada_rms_norm_store<T, U, V, HAS_WEIGHT, HAS_SCALE>(value, inv_rms, weight, scale, y, i, dim);
  }
}

// Entry points: whole for the extension; between BODY and END for mx.fast.metal_kernel, which writes the signature.
// row_info = {dim, rows_per_scale}.
template <typename T, typename U, int V, int PIECES, bool LOOPED, bool HAS_WEIGHT, bool HAS_SCALE>
[[kernel]] void ada_rms_norm_kernel(const device T* x [[buffer(0)]], const device T* weight [[buffer(1)]],
                                    const device U* scale [[buffer(2)]], const constant int* row_info [[buffer(3)]],
                                    const constant float* eps [[buffer(4)]], device T* y [[buffer(5)]],
                                    uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
                                    uint3 thread_position_in_threadgroup [[thread_position_in_threadgroup]],
                                    uint3 threads_per_threadgroup [[threads_per_threadgroup]],
                                    uint thread_index_in_simdgroup [[thread_index_in_simdgroup]],
                                    uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
  // BODY ada_rms_norm
  threadgroup float partial[kSimd];
  const uint tid = thread_position_in_threadgroup.x;
  ada_rms_norm<T, U, V, PIECES, LOOPED, HAS_WEIGHT, HAS_SCALE, false>(
      x, weight, scale, x, y, y, uint(row_info[0]), uint(row_info[1]), eps[0], partial, threadgroup_position_in_grid.y,
      tid, threads_per_threadgroup.x, thread_index_in_simdgroup, simdgroup_index_in_threadgroup);
  // END
}

template <typename T, typename U, int V, int PIECES, bool LOOPED, bool HAS_WEIGHT, bool HAS_SCALE>
[[kernel]] void ada_rms_norm_residual_kernel(const device T* x [[buffer(0)]], const device T* weight [[buffer(1)]],
                                             const device U* scale [[buffer(2)]],
                                             const device T* residual [[buffer(3)]],
                                             const constant int* row_info [[buffer(4)]],
                                             const constant float* eps [[buffer(5)]], device T* y [[buffer(6)]],
                                             device T* h [[buffer(7)]],
                                             uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
                                             uint3 thread_position_in_threadgroup [[thread_position_in_threadgroup]],
                                             uint3 threads_per_threadgroup [[threads_per_threadgroup]],
                                             uint thread_index_in_simdgroup [[thread_index_in_simdgroup]],
                                             uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
  // BODY ada_rms_norm_residual
  threadgroup float partial[kSimd];
  const uint tid = thread_position_in_threadgroup.x;
  ada_rms_norm<T, U, V, PIECES, LOOPED, HAS_WEIGHT, HAS_SCALE, true>(
      x, weight, scale, residual, y, h, uint(row_info[0]), uint(row_info[1]), eps[0], partial,
      threadgroup_position_in_grid.y, tid, threads_per_threadgroup.x, thread_index_in_simdgroup,
      simdgroup_index_in_threadgroup);
  // END
}
