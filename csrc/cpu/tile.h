// The register tiles of convolution and attention. Operands are rows that are contiguous along the summed axis.
//
// A "word" is what one multiply-add takes: a float, or with Bfloat16Pairs two adjacent bfloat16 values.
#pragma once

#include "args.h"
#include "lanes.h"

namespace voxtral::cpu {
namespace {

struct Floats {
  static constexpr bool kPairs = false;
  static Vec multiply_add(Vec a, Vec b, Vec sum) { return cpu::multiply_add(a, b, sum); }
};

#if defined(__AVX512BF16__)
struct Bfloat16Pairs {
  static constexpr bool kPairs = true;
  static Vec multiply_add(Vec a, Vec b, Vec sum) {
    return bits_of<Vec>(_mm512_dpbf16_ps(bits_of<__m512>(sum), bits_of<__m512bh>(a), bits_of<__m512bh>(b)));
  }
};
constexpr bool kHasPairs = true;
#elif defined(VOXTRAL_PAIRS_IN_SOFTWARE)
// For tests/backends/test_native_driver.py alone: the way of the pairs on a processor that does not multiply them.
struct Bfloat16Pairs {
  static constexpr bool kPairs = true;
  static Vec multiply_add(Vec a, Vec b, Vec sum) { return odd(a) * odd(b) + (even(a) * even(b) + sum); }
  static Vec even(Vec pairs) { return bits_of<Vec>(bits_of<WordVec>(pairs) << 16); }
  static Vec odd(Vec pairs) { return bits_of<Vec>(bits_of<WordVec>(pairs) & 0xffff0000u); }
};
constexpr bool kHasPairs = true;
#else
using Bfloat16Pairs = Floats;
constexpr bool kHasPairs = false;
#endif

// Registers: the accumulators of a tile, its operands and one temporary must fit in 16, or 32 with AVX-512 and NEON.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kDotRows = 4;
constexpr int kSpreadRows = 8;
#else
constexpr int kDotRows = 2;
constexpr int kSpreadRows = 4;
#endif
#if defined(__AVX512F__)
constexpr int kRowVecs = 2;
constexpr int kColumns = 8;
#elif defined(__aarch64__)
constexpr int kRowVecs = 4;
constexpr int kColumns = 4;
#else
constexpr int kRowVecs = 2;
constexpr int kColumns = 4;
#endif
constexpr int kDotColumns = 4;
// Without fused multiply-adds each product rounds too: a lane of a dot product then sums so many words in one go.
constexpr Index kDotChunk = 8;
#if defined(__FMA__) || defined(__aarch64__)
constexpr bool kInChunks = false;
#else
constexpr bool kInChunks = true;
#endif
constexpr int kFewRowColumns = 8;  // beside one vector of rows: as many sums as a multiply-add takes to finish
constexpr Index kTileRows = kRowVecs * kLanes;

constexpr Index round_up(Index n, Index step) { return (n + step - 1) / step * step; }
constexpr Index divide_up(Index n, Index step) { return (n + step - 1) / step; }
constexpr Index least(Index a, Index b) { return a < b ? a : b; }
constexpr Index most(Index a, Index b) { return a < b ? b : a; }

// Lane i holds word i % Parts of `p`.
template <int Parts>
inline Vec splat_words(const float* p) {
  if constexpr (Parts == 2) {
    std::int64_t words;  // an integer: as a double, two floats may look like a signalling NaN
    __builtin_memcpy(&words, p, sizeof words);
    return bits_of<Vec>(words + LongVec{});
  } else {
    float word;
    __builtin_memcpy(&word, p, sizeof word);
    return splat(word);
  }
}

// A row's words: its stored values, or bfloat16 pairs where the instruction set multiplies them.
template <class Mac, class T>
const auto* words_of(const T* row) {
  if constexpr (Mac::kPairs) {
    return reinterpret_cast<const float*>(row);
  } else {
    return row;
  }
}

// sums[column] += word k of RowVecs vectors of rows times that of the column.
template <class Mac, int RowVecs, int Columns, int Parts>
[[gnu::always_inline]] inline void add_word(const float* a, const float* const* b, Index k,
                                            Vec (&sums)[Columns][RowVecs]) {
  Vec rows[RowVecs];
#pragma GCC unroll 4
  for (int i = 0; i < RowVecs; ++i) rows[i] = load(a + i * kLanes);
#pragma GCC unroll 8
  for (int j = 0; j < Columns; ++j) {
    const Vec column = splat_words<Parts>(b[j] + k);
#pragma GCC unroll 4
    for (int i = 0; i < RowVecs; ++i) sums[j][i] = Mac::multiply_add(rows[i], column, sums[j][i]);
  }
}

// The same value, kept in a register: GCC reads what it loaded anew at each use, and loads are what a tile waits for.
inline Vec in_register(Vec v) {
#if defined(__AVX512F__)
  asm("" : "+v"(v));
#elif defined(__x86_64__)
  asm("" : "+x"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#endif
  return v;
}

// out[row * out_row + column] = the sum of sums[row * Columns + column].
template <int Rows, int Columns>
[[gnu::always_inline]] inline void store_sums(const Vec* sums, float* out, Index out_row) {
  constexpr int kAll = Rows * Columns, kGroup = kAll < kLanes ? kAll : kLanes,
                kPart = Columns < kGroup ? Columns : kGroup;
#pragma GCC unroll 8
  for (int first = 0; first < kAll; first += kGroup) {
    float group[kLanes];
    store(group, sum_each<kGroup>(sums + first));
#pragma GCC unroll 8
    for (int i = first; i < first + kGroup; i += kPart) {
      __builtin_memcpy(out + i / Columns * out_row + i % Columns, group + i - first, kPart * 4);
    }
  }
}

// Few rows, lanes along the summed axis: out[row * out_row + column] = sum_k a[row][k] * b[column][k]. `b` streams from
// memory; asking for it `Ahead` words early measured a quarter faster than the processor's prefetcher alone. Not inlined:
// the loop needs every register.
template <class Mac, int Rows, int Columns, int Ahead, class T>
[[gnu::noinline]] void dot_tile(const float* const* a, const T* const* b, Index words, float* out, Index out_row) {
  constexpr Index kLine = 64 / Index(sizeof(T));
  const float* rows[Rows];
  const T* columns[Columns];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) rows[i] = a[i];
#pragma GCC unroll 8
  for (int j = 0; j < Columns; ++j) columns[j] = b[j];
  const Index whole = words / kLanes * kLanes;
  Vec sums[Rows * Columns];
  [[maybe_unused]] Vec chunks[Rows * Columns];
#pragma GCC unroll 16
  for (int i = 0; i < Rows * Columns; ++i) sums[i] = chunks[i] = Vec{};
  for (Index k = 0; k < whole;) {
    const Index end = least(k + (kInChunks ? kDotChunk * kLanes : 2 * kLine), whole);
    for (Index at = k; at < end; at += kLine) {
#pragma GCC unroll 8
      for (int j = 0; j < Columns; ++j) __builtin_prefetch(columns[j] + at + Ahead, 0, 3);
    }
    for (; k < end; k += kLanes) {
      Vec column[Columns];
#pragma GCC unroll 8
      for (int j = 0; j < Columns; ++j) column[j] = load(columns[j] + k);
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) {
        const Vec row = in_register(load(rows[i] + k));
#pragma GCC unroll 8
        for (int j = 0; j < Columns; ++j) {
          sums[i * Columns + j] = Mac::multiply_add(row, column[j], sums[i * Columns + j]);
        }
      }
    }
    if constexpr (kInChunks) {
#pragma GCC unroll 16
      for (int i = 0; i < Rows * Columns; ++i) chunks[i] += sums[i], sums[i] = Vec{};
    }
  }
  if (whole < words) {
    const int rest = int(words - whole);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      const Vec row = load_part(a[i] + whole, rest);
#pragma GCC unroll 8
      for (int j = 0; j < Columns; ++j) {
        sums[i * Columns + j] = Mac::multiply_add(row, load_part(b[j] + whole, rest), sums[i * Columns + j]);
      }
    }
  }
  if constexpr (kInChunks) {
    for (int i = 0; i < Rows * Columns; ++i) sums[i] = chunks[i] + sums[i];
  }
  store_sums<Rows, Columns>(sums, out, out_row);
}

// Many rows, lanes along the rows: out[column * out_column + row] (+)= sum_k a[k * a_word + row] * b[column][k].
// Partial sums of `Chunk` words keep the rounding error of a long sum down. Not inlined: the loop needs every register.
template <class Mac, int RowVecs, int Columns, int Chunk>
[[gnu::noinline]] void rows_tile(const float* a, Index a_word, const float* const* b, Index words, float* out,
                                 Index out_column, bool accumulate) {
  for (Index first = 0; first < words; first += Chunk) {
    const Index last = least(first + Chunk, words);
    Vec sums[Columns][RowVecs] = {};
#pragma GCC unroll 2
    for (Index k = first; k < last; ++k) add_word<Mac, RowVecs, Columns, 1>(a + k * a_word, b, k, sums);
    const bool add = accumulate || first > 0;
#pragma GCC unroll 8
    for (int j = 0; j < Columns; ++j) {
#pragma GCC unroll 4
      for (int i = 0; i < RowVecs; ++i) {
        float* to = out + j * out_column + i * kLanes;
        store(to, add ? load(to) + sums[j][i] : sums[j][i]);
      }
    }
  }
}

// Copies `rows` rows of `dim` values to float32 rows of `width` (a multiple of kLanes), zero beyond dim.
template <class T>
inline void to_float_rows(const T* from, Index from_row, Index rows, Index dim, float* to, Index width) {
  if (from_row == dim && width == dim) {  // one long row
    dim = width = from_row = rows * dim;
    rows = 1;
  }
  const Index whole = dim / kLanes * kLanes;
  for (Index r = 0; r < rows; ++r, from += from_row, to += width) {
    for (Index d = 0; d < whole; d += kLanes) store(to + d, load(from + d));
    if (whole < dim) store(to + whole, load_part(from + whole, int(dim - whole)));
  }
}

// Packs up to kLanes rows (null: zeros) so that lane i of out[k * out_word] is word k of row i.
template <class T>
inline void pack_rows(const T* const* rows, Index words, float* out, Index out_word) {
  for (Index k = 0; k < words; k += kLanes) {
    const int part = int(least(kLanes, words - k));
    Vec block[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      block[i] = rows[i] ? load_part(rows[i] + k, part) : Vec{};
    }
    transpose(block);
    for (int j = 0; j < part; ++j) store(out + (k + j) * out_word, block[j]);
  }
}

}  // namespace
}  // namespace voxtral::cpu
