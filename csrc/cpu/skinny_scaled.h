// The register tile of quantised weights whose numbers are multiplied before their scale: a chunk's sums are made first
// and join the rows' accumulators by one multiply-add.
#pragma once

#include "skinny_tile.h"

namespace voxtral::cpu {
namespace {

// Two sums a row and column, a scale a column, what numbers are made of, a row.
template <int Rows>
constexpr int kScaledWidth = kLanes < 16 || Rows > 4 ? 1
                             : Rows > 2              ? 2
                                                     : 3;

// Lane l of a chunk's products has scale lanes[l] of those that begin with the chunk's first.
template <class W, int... L>
inline WordVec scale_lanes(Index group, std::integer_sequence<int, L...>) {
  return WordVec{std::uint32_t(L * (kChunk<W> / kLanes) / group)...};
}

// What the biases add: it begins the sums. sums[j * sums_column + row] = sum_g bias[j][g] * group_sums[row][g].
inline void begin_sums(const Scratch& s, Index width, Vec* sums) {
  for (Index j = 0; j < width; ++j) {
    for (Index r = 0; r < s.rows; ++r) {
      const float *biases = s.biases + j * s.groups, *groups = s.group_sums + r * Scratch::padded(s.groups);
      const Index whole = s.groups / kLanes * kLanes;
      Vec total{};
      for (Index g = 0; g < whole; g += kLanes) total = multiply_add(load(biases + g), load(groups + g), total);
      if (whole < s.groups) {
        total = multiply_add(load_part(biases + whole, int(s.groups - whole)), load(groups + whole), total);
      }
      sums[j * s.rows + r] = total;
    }
  }
}

// As skinny_tile.
template <class W, int Rows, int Width>
[[gnu::noinline]] void scaled_tile(const Columns& columns, const Span& span, const float* rows, Vec* sums,
                                   Index sums_column) {
  constexpr std::make_integer_sequence<int, W::kVecs> kEach{};
  constexpr Index kFloats = Index(W::kVecs) * kLanes * Rows;
  constexpr NoGroup kNone[Width] = {};
  Vec total[Rows][Width];
  load_totals(sums, sums_column, total);
  const char* weight[Width];
  const float* scales[Width];
#pragma GCC unroll 8
  for (int j = 0; j < Width; ++j) weight[j] = columns.weight[j], scales[j] = columns.scales[j];
  const Index whole = least(span.last, span.whole);
  const float* part = rows + span.first * kFloats;
  const auto add = [&](const char* const(&chunks)[Width], const float* const(&first)[Width])
                       __attribute__((always_inline)) {
                         Vec partial[Rows][Width] = {};
                         multiply<W, Rows, Width>(chunks, kNone, part, partial, kEach);
                         part += kFloats;
#pragma GCC unroll 8
                         for (int j = 0; j < Width; ++j) {
                           const Vec scale = permuted(load(first[j]), span.lanes);
#pragma GCC unroll 8
                           for (int i = 0; i < Rows; ++i) accumulate<Floats>(total[i][j], scale, partial[i][j]);
                         }
                       };
  for (Index c = span.first; c < whole; ++c) {
    const char* chunks[Width];
    const float* first[Width];
#pragma GCC unroll 8
    for (int j = 0; j < Width; ++j) {
      chunks[j] = weight[j] + c * kChunkBytes<W>, first[j] = scales[j] + (c * kChunk<W> >> span.group_bits);
      ask_for(chunks[j] + span.ahead + kChunkBytes<W> - 1);
    }
    add(chunks, first);
  }
  if (whole < span.last) {
    char padded[Width][kChunkBytes<W>] = {};
    float own[Width][kLanes] = {};  // no scale of the next column may meet a zero
    const char* chunks[Width];
    const float* first[Width];
    load_rest<W, Width>(columns, span, padded, chunks);
    const Index done = whole * kChunk<W> >> span.group_bits;
    for (int j = 0; j < Width; ++j) {
      __builtin_memcpy(own[j], scales[j] + done, std::size_t(span.groups - done) * 4), first[j] = own[j];
    }
    add(chunks, first);
  }
  store_totals(total, sums, sums_column);
}

}  // namespace
}  // namespace voxtral::cpu
