// Formula   out[row] = sum_key softmax(scale * q[row] . k[key]) v[key], p - window < key <= p, p: position of row
// Layout    q [B, Hq, L, D] any strides; ring [2, B, Hkv, C, D], tails [B, Hkv, T, D] row-contiguous; see common/ring.h;
//           out [B, L, Hq, D]; a row is (query, head of the group): row = l * group + g, group = Hq / Hkv
// Grid      one threadgroup of 32 * SIMDS per (block of ROWS * SIMDS rows of a split, kv head, batch)
// Numerics  those of the vector form, bit for bit: each simdgroup takes ROWS rows through one share of the keys after
//           the other, in the order of common/key_rows.h
// Traffic   each visible key and value row once a block of rows; split: 8 (D + 2) bytes more a row and split
// Limits    ROWS * D <= 256, ROWS * SIMDS <= 2 * KEYS, D a multiple of 16 up to 256; 2 * KEYS * D elements staged
// Source    online softmax, Milakov & Gimelshein 2018; split keys, Dao et al. 2023 (Flash-Decoding)
#include <metal_stdlib>

#include "common/key_rows.h"
#include "common/online_softmax.h"
#include "common/packed.h"
#include "common/packed_threadgroup.h"
#include "common/reduce.h"
#include "common/ring.h"

using namespace metal;

// The i-th key of a share, counted from one of its runs.
template <typename Layout>
METAL_FUNC int position_in_share(int run, int i) {
  return (run + i / Layout::RUN * Layout::SHARES) * Layout::RUN + i % Layout::RUN;
}

// KEYS keys of a share and their values into threadgroup memory; zeros for what lies outside of the range.
template <int KEYS, int THREADS, typename T, typename R, int D, bool HAS_RING>
METAL_FUNC void stage_keys(RingTail<T, R, D, HAS_RING> rows_kv, KeyRange keys, int run, int from, threadgroup T* tile,
                           threadgroup float* scales, uint tid) {
  using Layout = KeyLayout<R, D>;
  constexpr int V = 8 / int(sizeof(T));
  constexpr int PIECES = D / V;
  for (int i = int(tid); i < KEYS * PIECES; i += THREADS) {
    const int position = position_in_share<Layout>(run, from + i / PIECES);
    const int d = i % PIECES * V;
    Packed<T, V> key;
    Packed<T, V> value;
    if (position >= keys.begin && position < keys.end) {
      key = load_row<T, V, false>(rows_kv, position, d);
      value = load_row<T, V, true>(rows_kv, position, d);
    } else {
#pragma unroll
      for (int j = 0; j < V; ++j) {
        key.v[j] = T(0);
        value.v[j] = T(0);
      }
    }
    store_packed<V>(tile + i / PIECES * D + d, key);
    store_packed<V>(tile + (KEYS + i / PIECES) * D + d, value);
  }
  if (rows_kv.IS_SCALED && int(tid) < KEYS) {
    const int position = position_in_share<Layout>(run, from + int(tid));
    const bool reads = position >= keys.begin && position < keys.end;
    scales[tid] = reads ? row_scale<false>(rows_kv, position) : 1.0f;
    scales[KEYS + tid] = reads ? row_scale<true>(rows_kv, position) : 1.0f;
  }
}

// This lane's elements of a staged row of D.
template <typename R, int D, typename T>
METAL_FUNC void load_staged(const threadgroup T* row, uint part, thread float* out) {
  using Layout = KeyLayout<R, D>;
#pragma unroll
  for (int c = 0; c < Layout::E / Layout::V; ++c) {
    const Packed<T, Layout::V> packed = load_packed<Layout::V>(row + (c * Layout::LANES + int(part)) * Layout::V);
#pragma unroll
    for (int j = 0; j < Layout::V; ++j) {
      out[c * Layout::V + j] = float(packed.v[j]);
    }
  }
}

template <typename T, typename R, int D, int ROWS, int SIMDS, int KEYS, bool HAS_RING, int SPAN, typename O>
METAL_FUNC void sliding_window_attention_staged(
    const device T* q,                    // [B, Hq, L, D], element strides q_strides
    const constant int64_t* q_strides,    // [4]
    RingTail<T, R, D, HAS_RING> rows_kv,  // keys and values of this (batch, kv head)
    device O* out,                        // [B, L, Hq, D]; SPAN: float [B, Hq, L, n_splits, D], sums below the peak
    device float* stats,                  // SPAN: [B, Hq, L, n_splits, 2], peak and total
    int n_heads, int n_kv_heads, int n_queries, int window, float scale,
    threadgroup T* tile,        // [2 * KEYS * D], keys then values, first the queries
    threadgroup float* scales,  // [2 * KEYS], where the ring has any
    uint b, uint kv_head, uint at, uint n_threadgroups, uint tid, uint lane, uint simd) {
  using Layout = KeyLayout<R, D>;
  constexpr int E = Layout::E;
  constexpr int V = Layout::V;
  constexpr int BLOCK = ROWS * SIMDS;
  const int group = n_heads / n_kv_heads;
  const int n_rows = group * n_queries;
  const int n_blocks = (n_rows + BLOCK - 1) / BLOCK;
  const int n_splits = int(n_threadgroups) / n_blocks;
  const int split = int(at) / n_blocks;
  const int block = int(at) % n_blocks * BLOCK;
  const int row = block + int(simd) * ROWS;
  const uint part = lane % Layout::LANES;
  const int slot = int(lane / Layout::LANES);
  const int last = rows_kv.ring_end + rows_kv.n_tail - 1;
  const int first = last - n_queries + 1;

  for (int i = int(tid); i < BLOCK * D; i += SIMDS * 32) {
    const int r = block + i / D;
    const device T* from =
        q + b * q_strides[0] + (kv_head * group + r % group) * q_strides[1] + (r / group) * q_strides[2];
    tile[i] = r < n_rows ? from[i % D * q_strides[3]] : T(0);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  KeyRows<R, D, ROWS> rows;
  OnlineSoftmax all[ROWS];
  float sum[ROWS][E];
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    load_staged<R, D>((const threadgroup T*)tile + (int(simd) * ROWS + r) * D, part, rows.query[r]);
#pragma unroll
    for (int e = 0; e < E; ++e) {
      rows.query[r][e] *= scale;
      sum[r][e] = 0;
    }
  }

  // A block of rows need not see all keys of the split, but its splits are those of all rows.
  const KeyRange keys = keys_of_split<SPAN>(rows_kv, first, last, window, split);
  const KeyRange seen = {max(keys.begin, first + block / group - window + 1),
                         min(keys.end, first + (min(block + BLOCK, n_rows) - 1) / group + 1), 0};
  for (int share = 0; share < Layout::SHARES; ++share) {
    rows.clear();
    const int run = seen.begin / Layout::RUN;
    const int own = run + (share - run % Layout::SHARES + Layout::SHARES) % Layout::SHARES;
    for (int from = 0; position_in_share<Layout>(own, from) < seen.end; from += KEYS) {
      threadgroup_barrier(mem_flags::mem_threadgroup);
      stage_keys<KEYS, 32 * SIMDS>(rows_kv, seen, own, from, tile, scales, tid);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (int i = 0; i < KEYS && position_in_share<Layout>(own, from + i) < seen.end; i += Layout::SLOTS) {
        const int k = i + slot;
        const int position = position_in_share<Layout>(own, from + k);
        float key[E];
        float value[E];
        load_staged<R, D>((const threadgroup T*)tile + k * D, part, key);
        load_staged<R, D>((const threadgroup T*)tile + (KEYS + k) * D, part, value);
        const float key_scale = rows_kv.IS_SCALED ? scales[k] : 1.0f;
        const float value_scale = rows_kv.IS_SCALED ? scales[KEYS + k] : 1.0f;
        const bool inside = position >= seen.begin && position < seen.end;
        rows.attend(key, value, key_scale, value_scale, position, inside, first, row, group, window);
      }
    }
    rows.join_slots();
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      const float2 factors = all[r].join(rows.softmax[r].peak, rows.softmax[r].total);
#pragma unroll
      for (int e = 0; e < E; ++e) {
        sum[r][e] = fma(rows.sum[r][e], factors.y, sum[r][e] * factors.x);
      }
    }
  }

  // The slots hold the same: they take pieces in turn.
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    if (row + r >= n_rows) {
      break;
    }
    const int l = (row + r) / group;
    const int head = int(kv_head) * group + (row + r) % group;
    size_t to = (size_t(b) * n_queries + l) * n_heads + head;
    float inv_total = 1.0f / all[r].total;
    if (SPAN > 0) {
      const int place = place_of_split<SPAN>(rows_kv, first + l, window, split, keys.first_split, n_splits);
      to = ((size_t(b) * n_heads + head) * n_queries + l) * n_splits + place;
      if (lane < 2) {
        stats[to * 2 + lane] = lane == 0 ? all[r].peak : all[r].total;
      }
    }
#pragma unroll
    for (int c = 0; c < E / V; ++c) {
      if (c % Layout::SLOTS == slot) {
        Packed<O, V> piece;
#pragma unroll
        for (int j = 0; j < V; ++j) {
          piece.v[j] = SPAN > 0 ? O(sum[r][c * V + j]) : O(sum[r][c * V + j] * inv_total + 0.0f);
        }
        store_packed<V>(out + to * D + (c * Layout::LANES + int(part)) * V, piece);
      }
    }
  }
}

// Entry points: whole for the extension; between BODY and END for mx.fast.metal_kernel, which writes the signature.
// state = {ring_end, window}. The splits are merged by sliding_window_attention_vector_merge.
template <typename T, typename R, int D, bool HAS_RING, bool STREAMS, int ROWS, int SIMDS, int KEYS>
[[kernel]] void sliding_window_attention_staged_kernel(
    const device T* q [[buffer(0)]], const constant int* q_shape [[buffer(1)]],
    const constant int64_t* q_strides [[buffer(2)]], const device R* ring [[buffer(3)]],
    const constant int* ring_shape [[buffer(4)]], const device T* tail_k [[buffer(5)]],
    const constant int* tail_k_shape [[buffer(6)]], const device T* tail_v [[buffer(7)]],
    const constant int* state [[buffer(8)]], const constant int* streams [[buffer(9)]],
    const constant float* scale [[buffer(10)]], device T* out [[buffer(11)]],
    uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
    uint3 threadgroups_per_grid [[threadgroups_per_grid]],
    uint3 thread_position_in_threadgroup [[thread_position_in_threadgroup]],
    uint thread_index_in_simdgroup [[thread_index_in_simdgroup]],
    uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
  // BODY sliding_window_attention_staged
  threadgroup T tile[2 * KEYS * D];
  threadgroup float scales[sizeof(R) == 1 ? 2 * KEYS : 1];
  const uint kv_head = threadgroup_position_in_grid.y;
  const uint b = threadgroup_position_in_grid.z;
  const auto rows_kv = ring_tail<STREAMS, T, R, D, HAS_RING>(ring, ring_shape, tail_k, tail_k_shape, tail_v, state[0],
                                                             streams, q_shape[0], b, kv_head);
  sliding_window_attention_staged<T, R, D, ROWS, SIMDS, KEYS, HAS_RING, 0>(
      q, q_strides, rows_kv, out, nullptr, q_shape[1], tail_k_shape[1], q_shape[2], state[1], scale[0], tile, scales, b,
      kv_head, threadgroup_position_in_grid.x, threadgroups_per_grid.x, thread_position_in_threadgroup.x,
      thread_index_in_simdgroup, simdgroup_index_in_threadgroup);
  // END
}

template <typename T, typename R, int D, bool HAS_RING, bool STREAMS, int ROWS, int SIMDS, int KEYS, int SPAN>
[[kernel]] void sliding_window_attention_staged_split_kernel(
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
  // BODY sliding_window_attention_staged_split
  threadgroup T tile[2 * KEYS * D];
  threadgroup float scales[sizeof(R) == 1 ? 2 * KEYS : 1];
  const uint kv_head = threadgroup_position_in_grid.y;
  const uint b = threadgroup_position_in_grid.z;
  const auto rows_kv = ring_tail<STREAMS, T, R, D, HAS_RING>(ring, ring_shape, tail_k, tail_k_shape, tail_v, state[0],
                                                             streams, q_shape[0], b, kv_head);
  sliding_window_attention_staged<T, R, D, ROWS, SIMDS, KEYS, HAS_RING, SPAN>(
      q, q_strides, rows_kv, partial, stats, q_shape[1], tail_k_shape[1], q_shape[2], state[1], scale[0], tile, scales,
      b, kv_head, threadgroup_position_in_grid.x, threadgroups_per_grid.x, thread_position_in_threadgroup.x,
      thread_index_in_simdgroup, simdgroup_index_in_threadgroup);
  // END
}
