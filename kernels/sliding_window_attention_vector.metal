// Formula   out[row] = sum_key softmax(scale * q[row] . k[key]) v[key], p - window < key <= p, p: position of row
// Layout    q [B, Hq, L, D] any strides; ring [2, B, Hkv, C, D], tails [B, Hkv, T, D] row-contiguous; see common/ring.h;
//           out [B, L, Hq, D]; a row is (query, head of the group): row = l * group + g, group = Hq / Hkv
// Grid      one threadgroup of 32 * 8 per (split of the keys, kv head, batch); a simdgroup takes a share of the keys
// Numerics  dot products, softmax and sums in float32, in an order of the row's own (common/key_rows.h); rounded once
// Traffic   each visible key and value row once for all rows; split: 8 (D + 2) bytes more a row and split
// Limits    L * group <= ROWS <= 8, ROWS * D <= 512, D a multiple of 16 up to 256; row strides of q may be any
// Source    online softmax, Milakov & Gimelshein 2018; split keys, Dao et al. 2023 (Flash-Decoding)
#include <metal_stdlib>

#include "common/key_rows.h"
#include "common/online_softmax.h"
#include "common/packed.h"
#include "common/reduce.h"
#include "common/ring.h"

using namespace metal;

// This lane's elements of a row of D.
template <bool VALUES, typename T, typename R, int D, bool HAS_RING>
METAL_FUNC void load_part(RingTail<T, R, D, HAS_RING> rows_kv, int position, uint part, thread float* out) {
  using Layout = KeyLayout<R, D>;
#pragma unroll
  for (int c = 0; c < Layout::E / Layout::V; ++c) {
    const auto packed =
        load_row<float, Layout::V, VALUES>(rows_kv, position, (c * Layout::LANES + int(part)) * Layout::V);
#pragma unroll
    for (int j = 0; j < Layout::V; ++j) {
      out[c * Layout::V + j] = packed.v[j];
    }
  }
}

template <typename T, typename R, int D, int ROWS, bool HAS_RING, int SPAN, typename O>
METAL_FUNC void sliding_window_attention_vector(
    const device T* q,                    // [B, Hq, L, D], element strides q_strides
    const constant int64_t* q_strides,    // [4]
    RingTail<T, R, D, HAS_RING> rows_kv,  // keys and values of this (batch, kv head)
    device O* out,                        // [B, L, Hq, D]; SPAN: float [B, Hq, L, n_splits, D], sums below the peak
    device float* stats,                  // SPAN: [B, Hq, L, n_splits, 2], peak and total
    int n_heads, int n_kv_heads, int n_queries, int window, float scale,
    threadgroup float* sums,   // [SHARES * D], first the queries: ROWS <= SHARES
    threadgroup float* peaks,  // [2 * SHARES * ROWS], peaks then totals
    uint b, uint kv_head, uint split, uint n_splits, uint tid, uint lane, uint simd) {
  using Layout = KeyLayout<R, D>;
  constexpr int E = Layout::E;
  constexpr int RUN = Layout::RUN;
  constexpr int SHARES = Layout::SHARES;
  const int group = n_heads / n_kv_heads;
  const int n_rows = group * n_queries;
  const uint part = lane % Layout::LANES;
  const int slot = int(lane / Layout::LANES);
  const int last = rows_kv.ring_end + rows_kv.n_tail - 1;
  const int first = last - n_queries + 1;

  // Each query once a threadgroup, then from there into the registers.
  for (int i = int(tid); i < ROWS * D; i += SHARES * 32) {
    const int r = i / D;
    const device T* row =
        q + b * q_strides[0] + (kv_head * group + r % group) * q_strides[1] + (r / group) * q_strides[2];
    sums[i] = r < n_rows ? scale * float(row[i % D * q_strides[3]]) : 0.0f;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  KeyRows<R, D, ROWS> rows;
  rows.clear();
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
#pragma unroll
    for (int e = 0; e < E; ++e) {
      rows.query[r][e] = sums[r * D + ((e / Layout::V) * Layout::LANES + int(part)) * Layout::V + e % Layout::V];
    }
  }

  const KeyRange keys = keys_of_split<SPAN>(rows_kv, first, last, window, int(split));
  const int aligned = keys.begin - keys.begin % (SHARES * RUN);
  for (int run = aligned + int(simd) * RUN; run < keys.end; run += SHARES * RUN) {
    // A lane reads the scales of one key of the run.
    const bool reads = rows_kv.IS_SCALED && run + int(lane) >= keys.begin && run + int(lane) < keys.end;
    const float key_scales = reads ? row_scale<false>(rows_kv, run + int(lane)) : 1.0f;
    const float value_scales = reads ? row_scale<true>(rows_kv, run + int(lane)) : 1.0f;
    for (int base = run; base < min(run + RUN, keys.end); base += Layout::SLOTS) {
      const ushort from = ushort(base - run + slot);
      const float key_scale = rows_kv.IS_SCALED ? simd_shuffle(key_scales, from) : 1.0f;
      const float value_scale = rows_kv.IS_SCALED ? simd_shuffle(value_scales, from) : 1.0f;
      const int position = base + slot;
      const bool inside = position >= keys.begin && position < keys.end;
      float key[E];
      float value[E];
#pragma unroll
      for (int e = 0; e < E; ++e) {
        key[e] = 0;
        value[e] = 0;
      }
      if (inside) {
        load_part<false>(rows_kv, position, part, key);
        load_part<true>(rows_kv, position, part, value);
      }
      rows.attend(key, value, key_scale, value_scale, position, inside, first, 0, group, window);
    }
  }

  rows.join_slots();
  if (lane == 0) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      peaks[simd * ROWS + r] = rows.softmax[r].peak;
      peaks[(SHARES + simd) * ROWS + r] = rows.softmax[r].total;
    }
  }

  // The shares of the threadgroup, row by row.
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (r >= n_rows) {
      break;
    }
    if (slot == 0) {
      // Element e of all lanes lies together: no two lanes of a store meet in a bank.
#pragma unroll
      for (int e = 0; e < E; ++e) {
        sums[simd * D + e * Layout::LANES + part] = rows.sum[r][e];
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const int head = int(kv_head) * group + r % group;
    const int l = r / group;
    for (int i = int(tid); i < D; i += SHARES * 32) {
      OnlineSoftmax all;
      float sum = 0;
      for (int s = 0; s < SHARES; ++s) {
        const float2 factors = all.join(peaks[s * ROWS + r], peaks[(SHARES + s) * ROWS + r]);
        sum = fma(sums[s * D + i], factors.y, sum * factors.x);
      }
      const int e = i / Layout::LANES;
      const int d = ((e / Layout::V) * Layout::LANES + i % Layout::LANES) * Layout::V + e % Layout::V;
      if (SPAN > 0) {
        const size_t row = (size_t(b) * n_heads + head) * n_queries + l;
        const size_t at = row * n_splits +
                          place_of_split<SPAN>(rows_kv, first + l, window, int(split), keys.first_split, int(n_splits));
        out[at * D + d] = O(sum);
        if (d < 2) {
          stats[at * 2 + d] = d == 0 ? all.peak : all.total;
        }
      } else {
        out[((size_t(b) * n_queries + l) * n_heads + head) * D + d] = O(sum * (1.0f / all.total) + 0.0f);
      }
    }
  }
}

// One thread per element of a row: the splits' sums, brought to one peak. Each lane knows what every 32nd split weighs.
template <typename T>
METAL_FUNC void sliding_window_attention_vector_merge(const device float* partial,  // [B, Hq, L, n_splits, D]
                                                      const device float* stats,    // [B, Hq, L, n_splits, 2]
                                                      device T* out,                // [B, L, Hq, D]
                                                      uint n_heads, uint n_queries, uint n_splits, uint dim, uint row,
                                                      uint d, uint lane) {
  partial += size_t(row) * n_splits * dim;
  stats += size_t(row) * n_splits * 2;
  OnlineSoftmax all;
  for (uint s = lane; s < n_splits; s += kSimd) {
    all.join(stats[2 * s], stats[2 * s + 1]);
  }
  const float peak = simd_max(all.peak);
  const float inv_total = 1.0f / simd_sum(all.total * fast::exp(all.peak - peak));
  float sum = 0;
  for (uint base = 0; base < n_splits; base += kSimd) {
    const float factor = base + lane < n_splits ? fast::exp(stats[2 * (base + lane)] - peak) * inv_total : 0.0f;
    for (uint s = base; s < min(base + kSimd, n_splits); ++s) {
      const float weight = simd_shuffle(factor, ushort(s - base));
      sum = fma(d < dim ? partial[s * dim + d] : 0.0f, weight, sum);
    }
  }
  const uint l = row % n_queries;
  const uint head = row / n_queries % n_heads;
  const uint b = row / n_queries / n_heads;
  if (d < dim) {
    // Splits in which a row sees nothing change no sum but -0: so none has that sign.
    out[((size_t(b) * n_queries + l) * n_heads + head) * dim + d] = T(sum + 0.0f);
  }
}

// Entry points: whole for the extension; between BODY and END for mx.fast.metal_kernel, which writes the signature.
// state = {ring_end, window}.
template <typename T, typename R, int D, bool HAS_RING, bool STREAMS, int ROWS>
[[kernel]] void sliding_window_attention_vector_kernel(
    const device T* q [[buffer(0)]], const constant int* q_shape [[buffer(1)]],
    const constant int64_t* q_strides [[buffer(2)]], const device R* ring [[buffer(3)]],
    const constant int* ring_shape [[buffer(4)]], const device T* tail_k [[buffer(5)]],
    const constant int* tail_k_shape [[buffer(6)]], const device T* tail_v [[buffer(7)]],
    const constant int* state [[buffer(8)]], const constant int* streams [[buffer(9)]],
    const constant float* scale [[buffer(10)]], device T* out [[buffer(11)]],
    uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
    uint3 thread_position_in_threadgroup [[thread_position_in_threadgroup]],
    uint thread_index_in_simdgroup [[thread_index_in_simdgroup]],
    uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
  // BODY sliding_window_attention_vector
  threadgroup float sums[KeyLayout<R, D>::SHARES * D];
  threadgroup float peaks[2 * KeyLayout<R, D>::SHARES * ROWS];
  const uint kv_head = threadgroup_position_in_grid.y;
  const uint b = threadgroup_position_in_grid.z;
  const auto rows_kv = ring_tail<STREAMS, T, R, D, HAS_RING>(ring, ring_shape, tail_k, tail_k_shape, tail_v, state[0],
                                                             streams, q_shape[0], b, kv_head);
  sliding_window_attention_vector<T, R, D, ROWS, HAS_RING, 0>(
      q, q_strides, rows_kv, out, nullptr, q_shape[1], tail_k_shape[1], q_shape[2], state[1], scale[0], sums, peaks, b,
      kv_head, 0, 1, thread_position_in_threadgroup.x, thread_index_in_simdgroup, simdgroup_index_in_threadgroup);
  // END
}

template <typename T, typename R, int D, bool HAS_RING, bool STREAMS, int ROWS, int SPAN>
[[kernel]] void sliding_window_attention_vector_split_kernel(
    const device T* q [[buffer(0)]], const constant int* q_shape [[buffer(1)]],
    const constant int64_t* q_strides [[buffer(2)]], const device R* ring [[buffer(3)]],
    const constant int* ring_shape [[buffer(4)]], const device T* tail_k [[buffer(5)]],
    const constant int* tail_k_shape [[buffer(6)]], const device T* tail_v [[buffer(7)]],
    const constant int* state [[buffer(8)]], const constant int* streams [[buffer(9)]],
    const constant float* scale [[buffer(10)]], device float* partial [[buffer(11)]],
    device float* stats [[buffer(12)]], uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
    uint3 threadgroups_per_grid [[threadgroups_per_grid]],
    uint3 thread_position_in_threadgroup [[thread_position_in_threadgroup]],
    uint thread_index_in_simdgroup [[thread_index_in_simdgroup]],
    uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
  // BODY sliding_window_attention_vector_split
  threadgroup float sums[KeyLayout<R, D>::SHARES * D];
  threadgroup float peaks[2 * KeyLayout<R, D>::SHARES * ROWS];
  const uint kv_head = threadgroup_position_in_grid.y;
  const uint b = threadgroup_position_in_grid.z;
  const auto rows_kv = ring_tail<STREAMS, T, R, D, HAS_RING>(ring, ring_shape, tail_k, tail_k_shape, tail_v, state[0],
                                                             streams, q_shape[0], b, kv_head);
  sliding_window_attention_vector<T, R, D, ROWS, HAS_RING, SPAN>(
      q, q_strides, rows_kv, partial, stats, q_shape[1], tail_k_shape[1], q_shape[2], state[1], scale[0], sums, peaks,
      b, kv_head, threadgroup_position_in_grid.x, threadgroups_per_grid.x, thread_position_in_threadgroup.x,
      thread_index_in_simdgroup, simdgroup_index_in_threadgroup);
  // END
}

template <typename T>
[[kernel]] void sliding_window_attention_vector_merge_kernel(
    const device float* partial [[buffer(0)]], const constant int* partial_shape [[buffer(1)]],
    const device float* stats [[buffer(2)]], device T* out [[buffer(3)]],
    uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
    uint3 thread_position_in_threadgroup [[thread_position_in_threadgroup]],
    uint thread_index_in_simdgroup [[thread_index_in_simdgroup]]) {
  // BODY sliding_window_attention_vector_merge
  sliding_window_attention_vector_merge<T>(partial, stats, out, partial_shape[1], partial_shape[2], partial_shape[3],
                                           partial_shape[4], threadgroup_position_in_grid.y,
                                           thread_position_in_threadgroup.x, thread_index_in_simdgroup);
  // END
}
