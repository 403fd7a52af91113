// Formula   out[row] = sum_key softmax(scale * q[row] . k[key]) v[key], p - window < key <= p, p: position of row
// Layout    q [B, Hq, L, D] any strides; ring [2, B, Hkv, C, D], tails [B, Hkv, T, D] row-contiguous; see common/ring.h;
//           out [B, L, Hq, D]; a row is (query, head of the group): row = l * group + g, group = Hq / Hkv
// Grid      one threadgroup of 32 * SIMDS per (split of the keys, kv head, batch); its simdgroups take keys in turn
// Numerics  dot products, softmax and sums in float32; rounded once, at the store; splits are merged in float32
// Traffic   each visible key and value row once for all rows; split: 8 (D + 2) bytes more a row and split (at most 32)
// Limits    L * group <= ROWS, ROWS * D <= 1024, D a multiple of 16 up to 256; row strides of q may be any
// Source    online softmax, Milakov & Gimelshein 2018; split keys, Dao et al. 2023 (Flash-Decoding)
#include <metal_stdlib>

#include "common/online_softmax.h"
#include "common/packed.h"
#include "common/reduce.h"
#include "common/ring.h"

using namespace metal;

// How a simdgroup covers keys: LANES lanes share a key, each holds E of its D elements, in pieces of V neighbours.
template <typename R, int D, int ROWS>
struct VectorLayout {
  static constexpr constant int kMost = D % 32 == 0 ? 32 : 16;
  // 16 lanes of 8 bytes cover a 128-byte segment; more of them where the sums of all rows need more registers.
  static constexpr constant int LANES = ROWS * D <= 32 * 16 ? 16 : kMost;
  static constexpr constant int SLOTS = 32 / LANES;
  static constexpr constant int E = D / LANES;
  static constexpr constant int kWidest = 8 / int(sizeof(R));
  static constexpr constant int V = E % kWidest == 0 ? kWidest : E % 4 == 0 && kWidest > 4 ? 4 : E % 2 == 0 ? 2 : 1;
};

// This lane's elements of a row of D: piece c, element j is row[(c * LANES + part) * V + j].
template <int ROWS, bool VALUES, typename T, typename R, int D, bool HAS_RING>
METAL_FUNC void load_part(RingTail<T, R, D, HAS_RING> rows_kv, int position, uint part, thread float* out) {
  using Layout = VectorLayout<R, D, ROWS>;
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

template <typename T, typename R, int D, int ROWS, int SIMDS, bool HAS_RING, bool SPLIT, typename O>
METAL_FUNC void sliding_window_attention_vector(
    const device T* q,                    // [B, Hq, L, D], element strides q_strides
    const constant int64_t* q_strides,    // [4]
    RingTail<T, R, D, HAS_RING> rows_kv,  // keys and values of this (batch, kv head)
    device O* out,                        // [B, L, Hq, D]; SPLIT: float [B, Hq, L, n_splits, D], sums below the peak
    device float* stats,                  // SPLIT: [B, Hq, L, n_splits, 2], peak and total
    int n_heads, int n_kv_heads, int n_queries, int n_tail, int window, float scale,
    threadgroup float* sums,   // [SIMDS * D], first the queries: ROWS <= SIMDS
    threadgroup float* peaks,  // [2 * SIMDS * ROWS], peaks then totals
    uint b, uint kv_head, uint split, uint n_splits, uint tid, uint lane, uint simd) {
  using Layout = VectorLayout<R, D, ROWS>;
  constexpr int E = Layout::E;
  constexpr int RUN = sizeof(R) == 1 ? 32 : Layout::SLOTS;  // neighbouring keys that a simdgroup takes in a row
  const int group = n_heads / n_kv_heads;
  const int n_rows = group * n_queries;
  const uint part = lane % Layout::LANES;
  const int slot = int(lane / Layout::LANES);
  const int last = rows_kv.ring_end + n_tail - 1;
  const int first = last - n_queries + 1;

  // Each query once a threadgroup, then from there into the registers.
  for (int i = int(tid); i < ROWS * D; i += SIMDS * 32) {
    const int r = i / D;
    const device T* row =
        q + b * q_strides[0] + (kv_head * group + r % group) * q_strides[1] + (r / group) * q_strides[2];
    sums[i] = r < n_rows ? scale * float(row[i % D * q_strides[3]]) : 0.0f;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float query[ROWS][E];
  float sum[ROWS][E];
  OnlineSoftmax softmax[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
#pragma unroll
    for (int e = 0; e < E; ++e) {
      query[r][e] = sums[r * D + ((e / Layout::V) * Layout::LANES + int(part)) * Layout::V + e % Layout::V];
      sum[r][e] = 0;
    }
  }

  // This split's keys: begin .. end - 1, of all that any row sees.
  int begin = rows_kv.first_visible(first, window);
  const int each = (last - begin + int(n_splits)) / int(n_splits);
  begin += int(split) * each;
  const int end = min(begin + each, last + 1);

  // Unsplit, positions say which keys a simdgroup takes: a row's sums have one order, whatever rows are beside it.
  const int before = !SPLIT ? begin % (SIMDS * RUN) : rows_kv.IS_SCALED ? (begin - rows_kv.origin) % Layout::SLOTS : 0;
  const int aligned = begin - before;
  for (int run = aligned + int(simd) * RUN; run < end; run += SIMDS * RUN) {
    // A lane reads the scales of one key of the run.
    const bool reads = rows_kv.IS_SCALED && run + int(lane) >= begin && run + int(lane) < end;
    const float key_scales = reads ? row_scale<false>(rows_kv, run + int(lane)) : 1.0f;
    const float value_scales = reads ? row_scale<true>(rows_kv, run + int(lane)) : 1.0f;
    for (int base = run; base < min(run + RUN, end); base += Layout::SLOTS) {
      const ushort from = ushort(base - run + slot);
      const float key_scale = rows_kv.IS_SCALED ? simd_shuffle(key_scales, from) : 1.0f;
      const float value_scale = rows_kv.IS_SCALED ? simd_shuffle(value_scales, from) : 1.0f;
      const int position = base + slot;
      const bool inside = position >= begin && position < end;
      float key[E];
      float value[E];
#pragma unroll
      for (int e = 0; e < E; ++e) {
        key[e] = 0;
        value[e] = 0;
      }
      if (inside) {
        load_part<ROWS, false>(rows_kv, position, part, key);
        load_part<ROWS, true>(rows_kv, position, part, value);
      }
#pragma unroll
      for (int r = 0; r < ROWS; ++r) {
        float score = 0;
#pragma unroll
        for (int e = 0; e < E; ++e) {
          score = fma(query[r][e], key[e], score);
        }
        score = lanes_sum<Layout::LANES>(score) * key_scale;
        const bool visible = inside && is_visible(position, first + r / group, window);
        const float factor = softmax[r].raise(visible ? score : kNothingSeen);
        const float weight = softmax[r].weight(score, visible);
        softmax[r].total += weight;
        if (visible) {  // 0 times an infinite value is no number; where nothing is seen, factor is 1
#pragma unroll
          for (int e = 0; e < E; ++e) {
            sum[r][e] = fma(weight * value_scale, value[e], sum[r][e] * factor);
          }
        }
      }
    }
  }

  // Slots of the simdgroup: bring all to one peak, then add.
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    float peak = softmax[r].peak;
    for (ushort step = Layout::LANES; step < 32; step *= 2) {
      peak = max(peak, simd_shuffle_xor(peak, step));
    }
    const float factor = softmax[r].raise(peak);
    for (ushort step = Layout::LANES; step < 32; step *= 2) {
      softmax[r].total += simd_shuffle_xor(softmax[r].total, step);
    }
#pragma unroll
    for (int e = 0; e < E; ++e) {
      sum[r][e] *= factor;
      for (ushort step = Layout::LANES; step < 32; step *= 2) {
        sum[r][e] += simd_shuffle_xor(sum[r][e], step);
      }
    }
    if (lane == 0) {
      peaks[simd * ROWS + r] = softmax[r].peak;
      peaks[(SIMDS + simd) * ROWS + r] = softmax[r].total;
    }
  }

  // Simdgroups of the threadgroup, row by row.
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (r >= n_rows) {
      break;
    }
    OnlineSoftmax all;
    for (int s = 0; s < SIMDS; ++s) {
      all.raise(peaks[s * ROWS + r]);
    }
    for (int s = 0; s < SIMDS; ++s) {
      all.total += peaks[(SIMDS + s) * ROWS + r] * fast::exp(peaks[s * ROWS + r] - all.peak);
    }
    const float factor = fast::exp(softmax[r].peak - all.peak);
    if (slot == 0) {
      // Element e of all lanes lies together: no two lanes of a store meet in a bank.
#pragma unroll
      for (int e = 0; e < E; ++e) {
        sums[simd * D + e * Layout::LANES + part] = sum[r][e] * factor;
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const int head = int(kv_head) * group + r % group;
    const int l = r / group;
    for (int i = int(tid); i < D; i += SIMDS * 32) {
      float total = 0;
      for (int s = 0; s < SIMDS; ++s) {
        total += sums[s * D + i];
      }
      const int e = i / Layout::LANES;
      const int d = ((e / Layout::V) * Layout::LANES + i % Layout::LANES) * Layout::V + e % Layout::V;
      const size_t row = (size_t(b) * n_heads + head) * n_queries + l;
      if (SPLIT) {
        out[(row * n_splits + split) * D + d] = O(total);
        if (d < 2) {
          stats[(row * n_splits + split) * 2 + d] = d == 0 ? all.peak : all.total;
        }
      } else {
        out[((size_t(b) * n_queries + l) * n_heads + head) * D + d] = O(total / all.total);
      }
    }
  }
}

// One thread per element of a row: the splits' sums, brought to one peak. Lane s knows what split s weighs.
template <typename T>
METAL_FUNC void sliding_window_attention_vector_merge(const device float* partial,  // [B, Hq, L, n_splits, D]
                                                      const device float* stats,    // [B, Hq, L, n_splits, 2]
                                                      device T* out,                // [B, L, Hq, D]
                                                      uint n_heads, uint n_queries, uint n_splits, uint dim, uint row,
                                                      uint d, uint lane) {
  partial += size_t(row) * n_splits * dim;
  stats += size_t(row) * n_splits * 2;
  const float peak = lane < n_splits ? stats[2 * lane] : kNothingSeen;
  const float total = lane < n_splits ? stats[2 * lane + 1] : 0.0f;
  float factor = fast::exp(peak - simd_max(peak));
  factor /= simd_sum(total * factor);
  float sum = 0;
  for (uint s = 0; s < n_splits; ++s) {
    const float weight = simd_shuffle(factor, ushort(s));
    sum = fma(d < dim ? partial[s * dim + d] : 0.0f, weight, sum);
  }
  const uint l = row % n_queries;
  const uint head = row / n_queries % n_heads;
  const uint b = row / n_queries / n_heads;
  if (d < dim) {
    out[((size_t(b) * n_queries + l) * n_heads + head) * dim + d] = T(sum);
  }
}

// Entry points: whole for the extension; between BODY and END for mx.fast.metal_kernel, which writes the signature.
// state = {ring_end, window}.
template <typename T, typename R, int D, bool HAS_RING, int ROWS, int SIMDS>
[[kernel]] void sliding_window_attention_vector_kernel(
    const device T* q [[buffer(0)]], const constant int* q_shape [[buffer(1)]],
    const constant int64_t* q_strides [[buffer(2)]], const device R* ring [[buffer(3)]],
    const constant int* ring_shape [[buffer(4)]], const device T* tail_k [[buffer(5)]],
    const constant int* tail_k_shape [[buffer(6)]], const device T* tail_v [[buffer(7)]],
    const constant int* state [[buffer(8)]], const constant float* scale [[buffer(9)]], device T* out [[buffer(10)]],
    uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
    uint3 thread_position_in_threadgroup [[thread_position_in_threadgroup]],
    uint thread_index_in_simdgroup [[thread_index_in_simdgroup]],
    uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
  // BODY sliding_window_attention_vector
  threadgroup float sums[SIMDS * D];
  threadgroup float peaks[2 * SIMDS * ROWS];
  const uint kv_head = threadgroup_position_in_grid.y;
  const uint b = threadgroup_position_in_grid.z;
  const RingTail<T, R, D, HAS_RING> rows_kv(ring, tail_k, tail_v, state[0], ring_shape[3], tail_k_shape[2],
                                            q_shape[0] * tail_k_shape[1], b * tail_k_shape[1] + kv_head);
  sliding_window_attention_vector<T, R, D, ROWS, SIMDS, HAS_RING, false>(
      q, q_strides, rows_kv, out, nullptr, q_shape[1], tail_k_shape[1], q_shape[2], tail_k_shape[2], state[1], scale[0],
      sums, peaks, b, kv_head, 0, 1, thread_position_in_threadgroup.x, thread_index_in_simdgroup,
      simdgroup_index_in_threadgroup);
  // END
}

template <typename T, typename R, int D, bool HAS_RING, int ROWS, int SIMDS>
[[kernel]] void sliding_window_attention_vector_split_kernel(
    const device T* q [[buffer(0)]], const constant int* q_shape [[buffer(1)]],
    const constant int64_t* q_strides [[buffer(2)]], const device R* ring [[buffer(3)]],
    const constant int* ring_shape [[buffer(4)]], const device T* tail_k [[buffer(5)]],
    const constant int* tail_k_shape [[buffer(6)]], const device T* tail_v [[buffer(7)]],
    const constant int* state [[buffer(8)]], const constant float* scale [[buffer(9)]],
    device float* partial [[buffer(10)]], device float* stats [[buffer(11)]],
    uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
    uint3 threadgroups_per_grid [[threadgroups_per_grid]],
    uint3 thread_position_in_threadgroup [[thread_position_in_threadgroup]],
    uint thread_index_in_simdgroup [[thread_index_in_simdgroup]],
    uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
  // BODY sliding_window_attention_vector_split
  threadgroup float sums[SIMDS * D];
  threadgroup float peaks[2 * SIMDS * ROWS];
  const uint kv_head = threadgroup_position_in_grid.y;
  const uint b = threadgroup_position_in_grid.z;
  const RingTail<T, R, D, HAS_RING> rows_kv(ring, tail_k, tail_v, state[0], ring_shape[3], tail_k_shape[2],
                                            q_shape[0] * tail_k_shape[1], b * tail_k_shape[1] + kv_head);
  sliding_window_attention_vector<T, R, D, ROWS, SIMDS, HAS_RING, true>(
      q, q_strides, rows_kv, partial, stats, q_shape[1], tail_k_shape[1], q_shape[2], tail_k_shape[2], state[1],
      scale[0], sums, peaks, b, kv_head, threadgroup_position_in_grid.x, threadgroups_per_grid.x,
      thread_position_in_threadgroup.x, thread_index_in_simdgroup, simdgroup_index_in_threadgroup);
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
