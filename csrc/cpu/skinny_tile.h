// The register tile of a few rows times a few columns of a weight, lanes along the summed axis.
//
// One accumulator a row and column, fed in the order of the chunks: what a row's sums are does not depend on how many
// rows and columns share the tile.
#pragma once

#include "skinny_rows.h"

namespace voxtral::cpu {
namespace {

// Accumulators, the columns' vectors, what they are made of and a row must fit in the registers. Of sixteen, twelve
// accumulators hide the latency of a multiply-add; a quantised weight has two sets of them, its chunk's and the whole's, and
// bfloat16 takes one for its mask, so that eight and no spill are faster.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kTileColumns = 4;
template <class W, int Rows>
constexpr int kTileWidth = 4;
#else
constexpr int kTileColumns = 6;
template <class W, int Rows>
constexpr int kTileWidth = W::kQuantized || W::kVecs > 1 ? (Rows > 2 ? 2 : 3) : 3;
template <class W>
constexpr int kTileWidth<W, 1> = W::kQuantized ? 3 : 6;
#endif

// What a tile reads of a weight: its columns' rows in memory, and their scales in float32.
struct Columns {
  const char* weight[kTileColumns];
  const float* scales[kTileColumns];
};

// Where along the summed axis: chunks [first, last), the last one perhaps not whole.
struct Span {
  Index first, last;
  Index whole;     // chunks of a row that are whole
  Index rest;      // bytes behind them
  Index ahead;     // bytes to where the next tile begins
  int group_log2;  // of the numbers that share a scale
};

template <class W, int Rows, int Width, int P>
[[gnu::always_inline]] inline void multiply_vec(const typename W::Raw (&raw)[Width], const float* rows,
                                                Vec (&sums)[Rows][Width]) {
  Vec column[Width];
#pragma GCC unroll 8
  for (int j = 0; j < Width; ++j) column[j] = W::template vec<P>(raw[j]);
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
    Vec row = load(rows + i * kLanes);
    if constexpr (!W::kQuantized) row = in_register(row);
#pragma GCC unroll 8
    for (int j = 0; j < Width; ++j) sums[i][j] = multiply_add(row, column[j], sums[i][j]);
  }
}

template <class W, int Rows, int Width, int... P>
[[gnu::always_inline]] inline void multiply_chunk(const typename W::Raw (&raw)[Width], const float* rows,
                                                  Vec (&sums)[Rows][Width], std::integer_sequence<int, P...>) {
  (multiply_vec<W, Rows, Width, P>(raw, rows + P * Rows * kLanes, sums), ...);
}

template <class W, int Rows, int Width>
[[gnu::always_inline]] inline void multiply_raw(const typename W::Raw (&raw)[Width], Index chunk, const float* rows,
                                                Vec (&sums)[Rows][Width]) {
  multiply_chunk<W, Rows, Width>(raw, rows + chunk * kChunk<W> * Rows, sums,
                                 std::make_integer_sequence<int, W::kVecs>{});
}

// One chunk of each column; `rows` stand as [chunks, kVecs, Rows] vectors.
template <class W, int Rows, int Width>
[[gnu::always_inline]] inline void multiply(const Columns& columns, const Span& span, Index chunk, const float* rows,
                                            Vec (&sums)[Rows][Width]) {
  typename W::Raw raw[Width];
#pragma GCC unroll 8
  for (int j = 0; j < Width; ++j) {
    raw[j] = W::load(columns.weight[j] + chunk * kChunkBytes<W>);
    __builtin_prefetch(columns.weight[j] + chunk * kChunkBytes<W> + span.ahead, 0, 3);
  }
  multiply_raw<W, Rows, Width>(raw, chunk, rows, sums);
}

// The same of a chunk that ends with the row: what would be beyond it is zero.
template <class W, int Rows, int Width>
[[gnu::always_inline]] inline void multiply_rest(const Columns& columns, const Span& span, const float* rows,
                                                 Vec (&sums)[Rows][Width]) {
  typename W::Raw raw[Width];
  char padded[Width][kChunkBytes<W>] = {};
  for (int j = 0; j < Width; ++j) {
    __builtin_memcpy(padded[j], columns.weight[j] + span.whole * kChunkBytes<W>, std::size_t(span.rest));
    raw[j] = W::load(padded[j]);
  }
  multiply_raw<W, Rows, Width>(raw, span.whole, rows, sums);
}

// Lane l holds the scale of its numbers in a chunk, which may have several groups.
template <class W>
[[gnu::always_inline]] inline Vec scale_of(const float* scales, Index chunk, int group_log2) {
  const float* at = scales + (chunk * kChunk<W> >> group_log2);
  Vec v = splat(at[0]);
  if constexpr (kChunk<W> > 32) {
    const int groups = int(kChunk<W> >> group_log2);
    for (int g = 1; g < groups; ++g) v = lane_numbers(Lanes{}) >= g * kLanes / groups ? splat(at[g]) : v;
  }
  return v;
}

template <class W, int Rows, int Width>
[[gnu::always_inline]] inline void add_scaled(const Columns& columns, Index chunk, int group_log2,
                                              const Vec (&part)[Rows][Width], Vec (&total)[Rows][Width]) {
#pragma GCC unroll 8
  for (int j = 0; j < Width; ++j) {
    const Vec scale = scale_of<W>(columns.scales[j], chunk, group_log2);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) total[i][j] = multiply_add(part[i][j], scale, total[i][j]);
  }
}

// sums[column * sums_column + row] += the products of a span. Not inlined: the loop needs every register.
template <class W, int Rows, int Width>
[[gnu::noinline]] void skinny_tile(const Columns& columns, const Span& span, const float* rows, Vec* sums,
                                   Index sums_column) {
  Vec total[Rows][Width];
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Width; ++j) total[i][j] = sums[j * sums_column + i];
  }
  const Index whole = least(span.last, span.whole);
  for (Index c = span.first; c < whole; ++c) {
    if constexpr (W::kQuantized) {
      Vec part[Rows][Width] = {};
      multiply<W, Rows, Width>(columns, span, c, rows, part);
      add_scaled<W, Rows, Width>(columns, c, span.group_log2, part, total);
    } else {
      multiply<W, Rows, Width>(columns, span, c, rows, total);
    }
  }
  if (whole < span.last) {
    Vec part[Rows][Width] = {};
    multiply_rest<W, Rows, Width>(columns, span, rows, W::kQuantized ? part : total);
    if constexpr (W::kQuantized) add_scaled<W, Rows, Width>(columns, whole, span.group_log2, part, total);
  }
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Width; ++j) sums[j * sums_column + i] = total[i][j];
  }
}

}  // namespace
}  // namespace voxtral::cpu
