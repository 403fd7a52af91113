// The register tiles of attention beside those of tile.h: scores in dot_tile's order for many rows, weights times values.
#pragma once

#include "tile.h"

namespace voxtral::cpu {
namespace {

template <int Columns, int RowVecs>
inline void add_to(Vec (&totals)[Columns][RowVecs], Vec (&sums)[Columns][RowVecs]) {
  for (int j = 0; j < Columns; ++j) {
    for (int i = 0; i < RowVecs; ++i) totals[j][i] += std::exchange(sums[j][i], Vec{});
  }
}

constexpr int reversed(int bits, int count) {
  int out = 0;
  for (; count > 1; count /= 2, bits /= 2) out = 2 * out + bits % 2;
  return out;
}

// The same sums to the last bit as dot_tile's: kLanes partial sums of every kLanes-th word, added up in sum_each's order.
// Parts = 2, for rows that fill half a vector: a lane has every other word, a[k * a_word + 2 * row + part] being word
// k + part of a row (k even), and the two are added last.
template <class Mac, int RowVecs, int Columns, int Parts = 1>
[[gnu::noinline]] void dot_rows_tile(const float* a, Index a_word, const float* const* b, Index words, float* out,
                                     Index out_column) {
  constexpr int kSteps = kLanes / Parts;
  Vec held[6][Columns][RowVecs];  // sums of 1, 2, 4 ... partial sums
  for (int step = 0; step < kSteps; ++step) {
    Vec sums[Columns][RowVecs] = {};
    [[maybe_unused]] Vec chunks[Columns][RowVecs] = {};
#pragma GCC unroll 2
    for (Index k = Parts * reversed(step, kSteps); k < words; k += kLanes) {
      add_word<Mac, RowVecs, Columns, Parts>(a + k * a_word, b, k, sums);
      if constexpr (kInChunks) {
        if (k / kLanes % kDotChunk == kDotChunk - 1) add_to<Columns, RowVecs>(chunks, sums);
      }
    }
    if constexpr (kInChunks) {
      add_to<Columns, RowVecs>(chunks, sums);
      __builtin_memcpy(sums, chunks, sizeof sums);
    }
    int level = 0;
    for (; step >> level & 1; ++level) {
#pragma GCC unroll 8
      for (int j = 0; j < Columns; ++j) {
#pragma GCC unroll 4
        for (int i = 0; i < RowVecs; ++i) sums[j][i] = held[level][j][i] + sums[j][i];
      }
    }
#pragma GCC unroll 8
    for (int j = 0; j < Columns; ++j) {
#pragma GCC unroll 4
      for (int i = 0; i < RowVecs; ++i) held[level][j][i] = sums[j][i];
    }
  }
  constexpr int kTop = __builtin_ctz(kSteps);
#pragma GCC unroll 8
  for (int j = 0; j < Columns; j += Parts) {
#pragma GCC unroll 4
    for (int i = 0; i < RowVecs; ++i) {
      store(out + j * out_column + i * kLanes,
            Parts == 2 ? sum_neighbours(held[kTop][j][i], held[kTop][j + 1][i]) : held[kTop][j][i]);
    }
  }
}

// Few rows, lanes along the words: sums[row * Columns + key] of q[row * q_row + k] * key[k] over keys that stand `step` bytes
// apart, yet to be added up. The same sums to the last bit as dot_tile's.
template <class Mac, int Rows, int Columns, class Word>
[[gnu::always_inline]] inline void score_tile(const float* q, Index q_row, const char* keys, Index step, Index words,
                                              Vec* out) {
  constexpr int kSums = Rows * Columns;
  Vec sums[kSums];
  [[maybe_unused]] Vec chunks[kSums];
#pragma GCC unroll 16
  for (int i = 0; i < kSums; ++i) sums[i] = chunks[i] = Vec{};
  const auto add = [&](Index k, int count) __attribute__((always_inline)) {
    Vec column[Columns];
#pragma GCC unroll 8
    for (int j = 0; j < Columns; ++j) column[j] = load_part(reinterpret_cast<const Word*>(keys + j * step) + k, count);
#pragma GCC unroll 4
    for (int i = 0; i < Rows; ++i) {
      const Vec row = in_register(load_part(q + i * q_row + k, count));
#pragma GCC unroll 8
      for (int j = 0; j < Columns; ++j)
        sums[i * Columns + j] = Mac::multiply_add(row, column[j], sums[i * Columns + j]);
    }
  };
  const Index whole = words / kLanes * kLanes;
  for (Index k = 0; k < whole;) {
    const Index end = kInChunks ? least(k + kDotChunk * kLanes, whole) : whole;
    for (; k < end; k += kLanes) add(k, kLanes);
    if constexpr (kInChunks) {
#pragma GCC unroll 16
      for (int i = 0; i < kSums; ++i) chunks[i] += std::exchange(sums[i], Vec{});
    }
  }
  if (Mac::kPairs && whole < words) add(whole, int(words - whole));
#pragma GCC unroll 16
  for (int i = 0; i < kSums; ++i) out[i] = kInChunks ? chunks[i] + sums[i] : sums[i];
}

// Rows [begin, end) of a block, in up to three stretches that stand evenly in memory.
template <class T>
struct Rows {
  const T* base[3];
  Index step[3], first[4];  // first[count] = end
  int count;

  const T* at(Index j) const {
    int i = count - 1;
    while (i > 0 && j < first[i]) --i;
    return base[i] + (j - first[i]) * step[i];
  }
  // Count rows from j on; for one that is not there the nearest.
  template <int Count>
  [[gnu::always_inline]] inline void near(Index j, const T** rows) const {
    if (j >= first[0] && j + Count <= first[1]) {
      const T* row = base[0] + (j - first[0]) * step[0];
      for (int i = 0; i < Count; ++i, row += step[0]) rows[i] = row;
    } else {
      for (int i = 0; i < Count; ++i) rows[i] = at(least(most(j + i, first[0]), first[count] - 1));
    }
  }
};

// out[row][d] = out[row][d] * decay[row] + sum_k p[row * PRow + k * p_key] * v[k][d] over `Out` rows and Vecs vectors
// of d.
template <int Out, int Vecs, int PRow, class T>
inline void spread_tile(const float* p, Index p_key, const Rows<T>& v, Index d0, const float* decay, float* out,
                        Index out_row) {
  Vec sums[Out][Vecs] = {};
  for (int run = 0; run < v.count; ++run) {
    const T* at = v.base[run] + d0;
    for (Index k = v.first[run]; k < v.first[run + 1]; ++k, at += v.step[run]) {
      Vec value[Vecs];
#pragma GCC unroll 4
      for (int d = 0; d < Vecs; ++d) value[d] = load(at + d * kLanes);
#pragma GCC unroll 8
      for (int i = 0; i < Out; ++i) {
        const Vec weight = splat(p[i * PRow + k * p_key]);
#pragma GCC unroll 4
        for (int d = 0; d < Vecs; ++d) sums[i][d] = multiply_add(weight, value[d], sums[i][d]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Out; ++i) {
#pragma GCC unroll 4
    for (int d = 0; d < Vecs; ++d) {
      float* to = out + i * out_row + d0 + d * kLanes;
      store(to, multiply_add(load(to), splat(decay[i]), sums[i][d]));
    }
  }
}

}  // namespace
}  // namespace voxtral::cpu
