// Attention of a few rows by one simdgroup, two keys at a time: 16 lanes share a key and hold its D elements between them.
//
// A row's sums have one order, which follows from the positions of its keys alone: a position belongs to one of SHARES
// shares, whose sums are joined in their order. Who takes a share, and how many rows beside, makes no difference.
#pragma once

#include "common/online_softmax.h"
#include "common/reduce.h"
#include "common/ring.h"

template <typename R, int D>
struct KeyLayout {
  static constexpr constant int LANES = 16;  // of 8 bytes cover a 128-byte segment
  static constexpr constant int SLOTS = 32 / LANES;
  static constexpr constant int E = D / LANES;
  static constexpr constant int kWidest = 8 / int(sizeof(R));
  // Element e of a lane is number ((e / V) * LANES + part) * V + e % V of the row; part: of the lane.
  static constexpr constant int V = E % kWidest == 0 ? kWidest : E % 4 == 0 && kWidest > 4 ? 4 : E % 2 == 0 ? 2 : 1;
  static constexpr constant int RUN = sizeof(R) == 1 ? 32 : SLOTS;  // neighbouring keys of a share
  static constexpr constant int SHARES = 8;                         // position / RUN % SHARES
};

// Queries in registers, and what they have summed. Begin with zeroed sums.
template <typename R, int D, int ROWS>
struct KeyRows {
  using Layout = KeyLayout<R, D>;
  float query[ROWS][Layout::E];
  float sum[ROWS][Layout::E];
  OnlineSoftmax softmax[ROWS];

  METAL_FUNC void clear() {
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      softmax[r] = OnlineSoftmax();
#pragma unroll
      for (int e = 0; e < Layout::E; ++e) {
        sum[r][e] = 0;
      }
    }
  }

  // One key a slot. Row r is query (row + r) / group, `first` the position of query 0; a slot's key may lie outside.
  METAL_FUNC void attend(const thread float* key, const thread float* value, float key_scale, float value_scale,
                         int position, bool inside, int first, int row, int group, int window) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      float score = 0;
#pragma unroll
      for (int e = 0; e < Layout::E; ++e) {
        score = fma(query[r][e], key[e], score);
      }
      score = lanes_sum<Layout::LANES>(score) * key_scale;
      const bool visible = inside && is_visible(position, first + (row + r) / group, window);
      const float factor = softmax[r].raise(visible ? score : kNothingSeen);
      const float weight = softmax[r].weight(score, visible);
      softmax[r].total += weight;
      if (visible) {  // 0 times an infinite value is no number; where nothing is seen, factor is 1
#pragma unroll
        for (int e = 0; e < Layout::E; ++e) {
          sum[r][e] = fma(weight * value_scale, value[e], sum[r][e] * factor);
        }
      }
    }
  }

  // Brings the slots to one peak and adds them: every lane then has the share's.
  METAL_FUNC void join_slots() {
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
      for (int e = 0; e < Layout::E; ++e) {
        sum[r][e] *= factor;
        for (ushort step = Layout::LANES; step < 32; step *= 2) {
          sum[r][e] += simd_shuffle_xor(sum[r][e], step);
        }
      }
    }
  }
};

// Keys begin .. end - 1 of those that rows at first .. last see: all of them, or those of one split. Splits are cut at
// multiples of SPAN (0: not at all), so that a row's parts do not depend on the rows beside it.
struct KeyRange {
  int begin;
  int end;
  int first_split;  // of the rows: what a split is counted from
};

template <int SPAN, typename Keys>
METAL_FUNC KeyRange keys_of_split(Keys rows_kv, int first, int last, int window, int split) {
  KeyRange range = {rows_kv.first_visible(first, window), last + 1, 0};
  if (SPAN > 0) {
    range.first_split = range.begin / SPAN;
    const int begin = (range.first_split + split) * SPAN;
    range.begin = max(range.begin, begin);
    range.end = min(range.end, begin + SPAN);
  }
  return range;
}

// Where a row at `position` leaves its sums of a split: its own first comes first, those in which it sees nothing last.
template <int SPAN, typename Keys>
METAL_FUNC int place_of_split(Keys rows_kv, int position, int window, int split, int first_split, int n_splits) {
  const int place = split + first_split - rows_kv.first_visible(position, window) / SPAN;
  return place < 0 ? place + n_splits : place;
}
