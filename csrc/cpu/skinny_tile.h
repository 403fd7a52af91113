// The register tile of a few rows times a few columns of a weight, lanes along the summed axis.
//
// One accumulator a row and column, fed in the order of the chunks: what a row's sums are does not depend on how many
// rows and columns share the tile.
#pragma once

#include "skinny_rows.h"

namespace voxtral::cpu {
namespace {

// The accumulators, the columns' vectors, what they are made of and a row must fit in the registers.
#if defined(__AVX512F__)
template <class W, int Rows>
constexpr int kTileWidth = Rows > 4   ? 2
                           : Rows > 1 ? 4
                                      : 6;
template <int Rows>
constexpr int kTileWidth<PairedBfloats, Rows> = Rows > 6   ? 3
                                                : Rows > 4 ? 4
                                                           : 6;
#elif defined(__aarch64__)
template <class W, int Rows>
constexpr int kTileWidth = Rows > 4 ? 2 : 4;
#else
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
  Index step;      // chunks that share a scale
  Index biases;    // floats from a scale to its bias
  Index groups;    // of a row of the weight
  int group_bits;  // of the number of elements that share a scale
  WordVec lanes;   // where in a chunk's scales its lanes have theirs
};

// sum += a * b in the register of the sum: GCC 12 lets the product's other operands take it, and spills.
template <class Mac>
[[gnu::always_inline]] inline void accumulate(Vec& sum, Vec a, Vec b) {
  if constexpr (Mac::kPairs) {
#if defined(__AVX512BF16__)
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
#else
    sum = Mac::multiply_add(a, b, sum);
#endif
    return;
  }
#if defined(__AVX512F__)
  asm("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
#elif defined(__FMA__)
  asm("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
#else
  sum = multiply_add(a, b, sum);
#endif
}

template <class W, int Rows, int Width, int P>
[[gnu::always_inline]] inline void multiply_vec(const char* const (&chunks)[Width],
                                                const typename W::Group (&groups)[Width], const float* rows,
                                                Vec (&sums)[Rows][Width]) {
  Vec column[Width];
#pragma GCC unroll 8
  for (int j = 0; j < Width; ++j) column[j] = W::template vec<P>(chunks[j], groups[j]);
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
    const Vec row = load(rows + i * kLanes);
#pragma GCC unroll 8
    for (int j = 0; j < Width; ++j) accumulate<typename W::Mac>(sums[i][j], row, column[j]);
  }
}

// One chunk of each column; its part of the rows stands as [kVecs, Rows] vectors.
template <class W, int Rows, int Width, int... P>
[[gnu::always_inline]] inline void multiply(const char* const (&chunks)[Width],
                                            const typename W::Group (&groups)[Width], const float* rows,
                                            Vec (&sums)[Rows][Width], std::integer_sequence<int, P...>) {
  (multiply_vec<W, Rows, Width, P>(chunks, groups, rows + P * Rows * kLanes, sums), ...);
}

// To the second cache: what a tile reads and its operands fill the first.
inline void ask_for(const char* p) { __builtin_prefetch(p, 0, 2); }

// The last chunk of a row, zeros behind what is left of it.
template <class W, int Width>
[[gnu::always_inline]] inline void load_rest(const Columns& columns, const Span& span,
                                             char (&padded)[Width][kChunkBytes<W>], const char* (&chunks)[Width]) {
  for (int j = 0; j < Width; ++j) {
    __builtin_memcpy(padded[j], columns.weight[j] + span.whole * kChunkBytes<W>, std::size_t(span.rest));
    chunks[j] = padded[j];
  }
}

template <int Rows, int Width>
[[gnu::always_inline]] inline void load_totals(const Vec* sums, Index sums_column, Vec (&total)[Rows][Width]) {
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Width; ++j) total[i][j] = sums[j * sums_column + i];
  }
}
template <int Rows, int Width>
[[gnu::always_inline]] inline void store_totals(const Vec (&total)[Rows][Width], Vec* sums, Index sums_column) {
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Width; ++j) sums[j * sums_column + i] = total[i][j];
  }
}

// sums[column * sums_column + row] += the products of a span; `rows` stand as [chunks, kVecs, Rows] vectors. Not inlined:
// the loop needs every register.
template <class W, int Rows, int Width>
[[gnu::noinline]] void skinny_tile(const Columns& columns, const Span& span, const float* rows, Vec* sums,
                                   Index sums_column) {
  constexpr std::make_integer_sequence<int, W::kVecs> kEach{};
  constexpr Index kFloats = Index(W::kVecs) * kLanes * Rows;
  Vec total[Rows][Width];
  load_totals(sums, sums_column, total);
  typename W::Group groups[Width];
  const char* chunks[Width];
  [[maybe_unused]] const float* scales[Width];
#pragma GCC unroll 8
  for (int j = 0; j < Width; ++j) {
    chunks[j] = columns.weight[j] + span.first * kChunkBytes<W>;
    if constexpr (W::kQuantized) scales[j] = columns.scales[j] + span.first / span.step;
  }
  const Index whole = least(span.last, span.whole), step = W::kQuantized ? span.step : 1, ahead = span.ahead;
  const float* part = rows + span.first * kFloats;
  for (Index c = span.first; c < whole; c += step) {
#pragma GCC unroll 8
    for (int j = 0; j < Width; ++j) {
      if constexpr (W::kQuantized) groups[j] = {*scales[j], scales[j][span.biases]}, ++scales[j];
      // By its last byte: a row that begins off a line ends in one that nobody else asks for.
      if (W::kQuantized && step * kChunkBytes<W> > 64) ask_for(chunks[j] + ahead + 63);
      ask_for(chunks[j] + ahead + step * kChunkBytes<W> - 1);
    }
    for (const float* end = part + step * kFloats; part != end; part += kFloats) {
      multiply<W, Rows, Width>(chunks, groups, part, total, kEach);
#pragma GCC unroll 8
      for (int j = 0; j < Width; ++j) chunks[j] += kChunkBytes<W>;
    }
  }
  if (whole < span.last) {  // a chunk that ends with the row: what would be beyond it is zero
    char padded[Width][kChunkBytes<W>] = {};
    load_rest<W, Width>(columns, span, padded, chunks);
    multiply<W, Rows, Width>(chunks, groups, part, total, kEach);
  }
  store_totals(total, sums, sums_column);
}

}  // namespace
}  // namespace voxtral::cpu
