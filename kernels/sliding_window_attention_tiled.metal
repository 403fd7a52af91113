// Formula   out[row] = sum_key softmax(scale * q[row] . k[key]) v[key], p - window < key <= p, p: position of row
// Layout    q [B, Hq, L, D] any strides; ring [2, B, Hkv, C, D], tails [B, Hkv, T, D] row-contiguous; see common/ring.h;
//           out [B, L, Hq, D]; a row is (query, head of the group): row = l * group + g, group = Hq / Hkv
// Grid      one threadgroup of 4 * BQ threads per (tile of BQ rows, kv head, batch); a simdgroup owns 8 rows
// Numerics  products, softmax and sums in float32 (8x8 matrices widened from T); rounded once, at the store
// Traffic   q and out once; the window + BQ / group keys and values that a tile of rows sees once a tile, BK at a time
// Limits    D a multiple of 16 up to 256; threadgroup memory (BQ + BK) * (D + 8) elements
// Source    FlashAttention-2, Dao 2023; tiles that no row sees are skipped
#include <metal_stdlib>

#include "common/fragment.h"
#include "common/online_softmax.h"
#include "common/packed.h"
#include "common/packed_threadgroup.h"
#include "common/ring.h"

using namespace metal;

template <typename T, int D, int BQ, int BK>
struct AttentionTiles {
  static constexpr constant int V = 8 / int(sizeof(T));
  static constexpr constant int PIECES = D / V;  // pieces of 8 bytes a row
  static constexpr constant int THREADS = 4 * BQ;
  // Row strides that spread the 8x8 reads over the banks: the keys are read along columns, the others along rows.
  static constexpr constant int KEY_LD = D + 16 / int(sizeof(T));
  static constexpr constant int LD = D + 8;
};

// BK rows from `base` on into threadgroup memory; past `end` zeros, which no weight but 0 meets.
template <int BQ, int BK, bool VALUES, typename T, typename R, int D, bool HAS_RING>
METAL_FUNC void load_tile(RingTail<T, R, D, HAS_RING> rows_kv, int base, int end, threadgroup T* tile,
                          threadgroup float* scales, uint tid) {
  using Tiles = AttentionTiles<T, D, BQ, BK>;
  constexpr int ld = VALUES ? Tiles::LD : Tiles::KEY_LD;
  for (int i = int(tid); i < BK * Tiles::PIECES; i += Tiles::THREADS) {
    const int row = i / Tiles::PIECES;
    const int d = i % Tiles::PIECES * Tiles::V;
    Packed<T, Tiles::V> piece;
    if (base + row < end) {
      piece = load_row<T, Tiles::V, VALUES>(rows_kv, base + row, d);
    } else {
      for (int j = 0; j < Tiles::V; ++j) {
        piece.v[j] = T(0);
      }
    }
    store_packed<Tiles::V>(tile + row * ld + d, piece);
  }
  if (rows_kv.IS_SCALED && int(tid) < BK) {
    scales[tid] = base + int(tid) < end ? row_scale<VALUES>(rows_kv, base + int(tid)) : 1;
  }
}

// One row again, key by key, by a simdgroup: 0 times an infinite value that the row does not see is no number either.
template <typename T, typename R, int D, bool HAS_RING>
METAL_FUNC void attend_row(RingTail<T, R, D, HAS_RING> rows_kv, threadgroup T* row, int position, int window,
                           float scale, uint lane) {
  constexpr int E = (D + 31) / 32;
  float sum[E] = {0};
  OnlineSoftmax softmax;
  for (int seen = rows_kv.first_visible(position, window); seen <= position; ++seen) {
    float score = 0;
    for (int d = int(lane); d < D; d += 32) {
      score = fma(float(row[d]), load_row<float, 1, false>(rows_kv, seen, d).v[0], score);
    }
    score = simd_sum(score) * row_scale<false>(rows_kv, seen) * scale;
    const float factor = softmax.raise(score);
    const float weight = softmax.weight(score, true);
    softmax.total += weight;
    const float value_scale = row_scale<true>(rows_kv, seen);
    for (int e = 0; e < E && int(lane) + 32 * e < D; ++e) {
      const float value = load_row<float, 1, true>(rows_kv, seen, int(lane) + 32 * e).v[0] * value_scale;
      sum[e] = fma(weight, value, sum[e] * factor);
    }
  }
  for (int e = 0; e < E && int(lane) + 32 * e < D; ++e) {
    row[int(lane) + 32 * e] = T(sum[e] / softmax.total);
  }
}

template <typename T, typename R, int D, int BQ, int BK, bool HAS_RING>
METAL_FUNC void sliding_window_attention_tiled(
    const device T* q,                    // [B, Hq, L, D], element strides q_strides
    const constant int64_t* q_strides,    // [4]
    RingTail<T, R, D, HAS_RING> rows_kv,  // keys and values of this (batch, kv head)
    device T* out,                        // [B, L, Hq, D]
    int n_heads, int n_kv_heads, int n_queries, int window, float scale,
    threadgroup T* queries,     // [BQ * LD], at the end the output
    threadgroup T* tile,        // [BK * LD], keys, then values
    threadgroup float* scales,  // [BK] of them, where the ring has any
    uint b, uint kv_head, uint block, uint tid, uint lane, uint simd) {
  using Tiles = AttentionTiles<T, D, BQ, BK>;
  constexpr int V = Tiles::V;
  constexpr int LD = Tiles::LD;
  const int group = n_heads / n_kv_heads;
  const int n_rows = group * n_queries;
  const int first_row = int(block) * BQ;
  const int first = rows_kv.ring_end + rows_kv.n_tail - n_queries;
  const FragmentPlace at(lane);

  for (int i = int(tid); i < BQ * Tiles::PIECES; i += Tiles::THREADS) {
    const int row = first_row + i / Tiles::PIECES;
    const int d = i % Tiles::PIECES * V;
    Packed<T, V> piece;
    const device T* from = q + b * q_strides[0] + (kv_head * group + row % group) * q_strides[1] +
                           (row / group) * q_strides[2] + d * q_strides[3];
    if (row < n_rows && q_strides[3] == 1) {
      piece = load_packed<V>(from);
    } else {
#pragma unroll
      for (int j = 0; j < V; ++j) {
        piece.v[j] = row < n_rows ? from[j * q_strides[3]] : T(0);
      }
    }
    store_packed<V>(queries + i / Tiles::PIECES * LD + d, piece);
  }

  // Keys that the block's rows see, and those of this simdgroup's 8 rows among them.
  const int last_row = min(first_row + BQ, n_rows) - 1;
  const int end = first + last_row / group + 1;
  const int simd_row = first_row + int(simd) * 8;
  const int simd_end = first + min(simd_row + 7, last_row) / group + 1;
  const int simd_begin = first + simd_row / group - window + 1;
  const int position = first + (simd_row + at.row) / group;

  Fragment sum[D / 8];
#pragma unroll
  for (int n = 0; n < D / 8; ++n) {
    sum[n] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  }
  OnlineSoftmax softmax;
  for (int base = rows_kv.first_visible(first + first_row / group, window); base < end; base += BK) {
    const bool seen = simd_row < n_rows && base < simd_end && base + BK > simd_begin;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    load_tile<BQ, BK, false>(rows_kv, base, end, tile, scales, tid);
    threadgroup_barrier(mem_flags::mem_threadgroup);

    Fragment weight[BK / 8];
    float factor = 1;
    if (seen) {
#pragma unroll
      for (int n = 0; n < BK / 8; ++n) {
        weight[n] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
      }
      for (int d = 0; d < D; d += 8) {
        const Fragment query = load_fragment(queries + simd * 8 * LD + d, LD, at);
#pragma unroll
        for (int n = 0; n < BK / 8; ++n) {
          const Fragment key = load_fragment_transposed(tile + n * 8 * Tiles::KEY_LD + d, Tiles::KEY_LD, at);
          simdgroup_multiply_accumulate(weight[n], query, key, weight[n]);
        }
      }
      float peak = kNothingSeen;
#pragma unroll
      for (int n = 0; n < BK / 8; ++n) {
        for (int j = 0; j < 2; ++j) {
          const bool visible = is_visible(base + n * 8 + at.column + j, position, window);
          const float factor = rows_kv.IS_SCALED ? scales[n * 8 + at.column + j] * scale : scale;
          const float score = visible ? weight[n].thread_elements()[j] * factor : kNothingSeen;
          weight[n].thread_elements()[j] = score;
          peak = max(peak, score);
        }
      }
      factor = softmax.raise(row_max(peak));
#pragma unroll
      for (int n = 0; n < BK / 8; ++n) {
        for (int j = 0; j < 2; ++j) {
          const bool visible = is_visible(base + n * 8 + at.column + j, position, window);
          const float w = softmax.weight(weight[n].thread_elements()[j], visible);
          weight[n].thread_elements()[j] = w;
          softmax.total += w;
        }
      }
    }

    threadgroup_barrier(mem_flags::mem_threadgroup);
    load_tile<BQ, BK, true>(rows_kv, base, end, tile, scales, tid);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (seen) {
#pragma unroll
      for (int n = 0; n < BK / 8 && rows_kv.IS_SCALED; ++n) {
        weight[n].thread_elements()[0] *= scales[n * 8 + at.column];
        weight[n].thread_elements()[1] *= scales[n * 8 + at.column + 1];
      }
#pragma unroll
      for (int n = 0; n < D / 8; ++n) {
        sum[n].thread_elements()[0] *= factor;
        sum[n].thread_elements()[1] *= factor;
#pragma unroll
        for (int k = 0; k < BK / 8; ++k) {
          const Fragment value = load_fragment(tile + k * 8 * LD + n * 8, LD, at);
          simdgroup_multiply_accumulate(sum[n], weight[k], value, sum[n]);
        }
      }
    }
  }

  // Through threadgroup memory, so that the rows are stored whole; a simdgroup overwrites only its own queries.
  const float inv_total = 1 / row_sum(softmax.total);
  bool no_number = false;
#pragma unroll
  for (int n = 0; n < D / 8; ++n) {
    no_number |= isnan(sum[n].thread_elements()[0]) || isnan(sum[n].thread_elements()[1]);
  }
  if (simd_any(no_number)) {
    for (int row = 0; row < 8 && simd_row + row < n_rows; ++row) {
      attend_row(rows_kv, queries + (int(simd) * 8 + row) * LD, first + (simd_row + row) / group, window, scale, lane);
    }
  } else {
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      store_fragment(queries + simd * 8 * LD + n * 8, LD, at, sum[n].thread_elements()[0] * inv_total,
                     sum[n].thread_elements()[1] * inv_total);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (int i = int(tid); i < BQ * Tiles::PIECES; i += Tiles::THREADS) {
    const int row = first_row + i / Tiles::PIECES;
    const int d = i % Tiles::PIECES * V;
    if (row < n_rows) {
      const size_t to = (size_t(b) * n_queries + row / group) * n_heads + kv_head * group + row % group;
      store_packed<V>(out + to * D + d, load_packed<V>((const threadgroup T*)queries + i / Tiles::PIECES * LD + d));
    }
  }
}

// Entry points: whole for the extension; between BODY and END for mx.fast.metal_kernel, which writes the signature.
// state = {ring_end, window}.
template <typename T, typename R, int D, bool HAS_RING, bool STREAMS, int BQ, int BK>
[[kernel]] void sliding_window_attention_tiled_kernel(
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
  // BODY sliding_window_attention_tiled
  using Tiles = AttentionTiles<T, D, BQ, BK>;
  threadgroup T queries[BQ * Tiles::LD];
  threadgroup T tile[BK * Tiles::LD];
  threadgroup float scales[sizeof(R) == 1 ? BK : 1];
  const uint kv_head = threadgroup_position_in_grid.y;
  const uint b = threadgroup_position_in_grid.z;
  const auto rows_kv = ring_tail<STREAMS, T, R, D, HAS_RING>(ring, ring_shape, tail_k, tail_k_shape, tail_v, state[0],
                                                             streams, q_shape[0], b, kv_head);
  sliding_window_attention_tiled<T, R, D, BQ, BK, HAS_RING>(
      q, q_strides, rows_kv, out, q_shape[1], tail_k_shape[1], q_shape[2], state[1], scale[0], queries, tile, scales, b,
      kv_head, threadgroup_position_in_grid.x, thread_position_in_threadgroup.x, thread_index_in_simdgroup,
      simdgroup_index_in_threadgroup);
  // END
}
