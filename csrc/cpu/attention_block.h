// A block of keys in attention, for the rows of one task, and its two products on the register tiles: scores = q k^T and
// out = out * decay + p v.
#pragma once

#include "tile.h"

namespace voxtral::cpu {
namespace {

constexpr Index kBlockKeys = 64;
constexpr int kAhead = 2048;        // words of the keys to come
constexpr Index kWaitingRows = 32;  // with more, a block's arithmetic takes longer than its way from memory
// Words of a score that a lane sums in one go; each product rounds too where there is no fused multiply-add.
#if defined(__FMA__) || defined(__aarch64__)
constexpr int kScoreChunk = 32;
#else
constexpr int kScoreChunk = 8;
#endif

struct Block {
  Index rows, padded_rows, width;  // width: dim rounded up to whole vectors
  Index lanes;                     // padded_rows, but a whole vector at least: rows of half a vector lie twice in it
  Index first_row;
  float* q;            // vector: [rows, width] floats or pairs; tiled: [words, lanes]
  float* scores;       // [kBlockKeys, padded_rows] or [rows, kBlockKeys]
  float* out;          // [padded_rows, width]
  float* k;            // [kBlockKeys, width]: converted or padded keys
  float* v;            // [kBlockKeys, width]
  float* largest;      // [lanes]: running maximum of the scaled scores
  float* total;        // [lanes]: running sum of exponentials
  float* decay;        // [lanes]: factor of what was summed before this block
  std::int32_t* low;   // [lanes]: first visible position, relative to the task's first
  std::int32_t* high;  // [lanes]: last visible position
};

struct Keys {
  const void* k;
  const void* v;
  const float* k_scales;  // [count], of rows of signed bytes
  const float* v_scales;
  Index k_row, v_row, first, count;  // first: position relative to the task's first
};

// The processor's own prefetcher loses the keys while the values stream, and the reverse. So a block's values are asked
// for while its scores are computed, a few at a time (more than that stops the arithmetic), and where the score's tile
// does not itself look ahead, the next block's keys too. Always inlined: GCC takes a function that only asks for memory
// for one without effect, and drops its calls.
template <class T>
struct Ahead {
  const Keys& block;
  Index dim;

  [[gnu::always_inline]] inline void values(Index first, Index count) const {
    rows(block.v, block.v_row, first, count);
  }
  [[gnu::always_inline]] inline void next_keys(Index first, Index count) const {
    rows(block.k, block.k_row, kBlockKeys + first, count);
  }

 private:
  [[gnu::always_inline]] inline void rows(const void* base, Index row, Index first, Index count) const {
    for (Index i = first; i < first + count; ++i) {
      const char* at = reinterpret_cast<const char*>(static_cast<const T*>(base) + i * row);
      for (Index byte = 0; byte < dim * Index(sizeof(T)); byte += 64) __builtin_prefetch(at + byte, 0, 2);
    }
  }
};

// Scores or weights times the scale of each key's row. A weight of 0 stays: a row that nobody sees may have the scale NaN.
template <bool Weights>
void scale_keys(const Block& block, const float* scales, Index count, bool tiled) {
  const auto scaled = [](float score, float scale) { return Weights && score == 0 ? 0.0f : score * scale; };
  if (tiled) {
    for (Index j = 0; j < count; ++j) {
      float* s = block.scores + j * block.padded_rows;
      for (Index r = 0; r < block.padded_rows; ++r) s[r] = scaled(s[r], scales[j]);
    }
  } else {
    for (Index r = 0; r < block.rows; ++r) {
      float* s = block.scores + r * kBlockKeys;
      for (Index j = 0; j < count; ++j) s[j] = scaled(s[j], scales[j]);
    }
  }
}

template <class Mac, class K, class T>
void scores_vector(const Block& block, const K* k, Index k_row, Index words, Index count, Ahead<T> ahead) {
  for (Index j = 0; j < count; j += kDotColumns) {
    ahead.values(j, kDotColumns);
    decltype(words_of<Mac>(k)) columns[kDotColumns];
    for (Index c = 0; c < kDotColumns; ++c) {  // past the end: the last key again
      columns[c] = words_of<Mac>(k + least(j + c, count - 1) * k_row);
    }
    Index r = 0;
    for (; r + 1 < block.rows; r += kDotRows) {
      const float* rows[kDotRows];
      float sums[kDotRows * kDotColumns];
      for (Index i = 0; i < kDotRows; ++i) rows[i] = block.q + least(r + i, block.rows - 1) * block.width;
      dot_tile<Mac, kDotRows, kAhead>(rows, columns, words, sums, kDotColumns);
      for (Index i = 0; i < kDotRows && r + i < block.rows; ++i) {
        __builtin_memcpy(block.scores + (r + i) * kBlockKeys + j, sums + i * kDotColumns, kDotColumns * 4);
      }
    }
    if (r < block.rows) {
      const float* row = block.q + r * block.width;
      dot_tile<Mac, 1, kAhead>(&row, columns, words, block.scores + r * kBlockKeys + j, kDotColumns);
    }
  }
}

template <class Mac, int RowVecs, int Parts = 1, class K, class T>
void scores_tiled(const Block& block, Index row, const K* k, Index k_row, Index words, Index count, Ahead<T> ahead) {
  constexpr int kCount = RowVecs == 1 ? kFewRowColumns : kColumns;
  for (Index j = 0; j < count; j += kCount) {
    if (block.padded_rows <= kWaitingRows && row == 0) {
      ahead.values(j, kCount);
      ahead.next_keys(j, kCount);
    }
    const float* columns[kCount];
    for (Index c = 0; c < kCount; ++c) columns[c] = words_of<Mac>(k + least(j + c, count - 1) * k_row);
    float* to = block.scores + j * block.padded_rows + row;
    rows_tile<Mac, RowVecs, kCount, kScoreChunk * Parts, Parts>(block.q + row, block.lanes, columns, words, to,
                                                                block.padded_rows, false);
  }
}

template <class Mac, class K, class T>
void scores_tiled(const Block& block, const K* k, Index k_row, Index words, Index count, Ahead<T> ahead) {
  Index row = 0;
  for (; row + kTileRows <= block.padded_rows; row += kTileRows) {
    scores_tiled<Mac, kRowVecs>(block, row, k, k_row, words, count, ahead);
  }
  for (; row + kLanes <= block.padded_rows; row += kLanes) {
    scores_tiled<Mac, 1>(block, row, k, k_row, words, count, ahead);
  }
  if (row < block.padded_rows) scores_tiled<Mac, 1, 2>(block, row, k, k_row, words, count, ahead);
}

template <int Rows, int PRow, class T>
void spread_rows(const Block& block, Index row, Index p_key, const T* v, Index v_row, Index count) {
  constexpr int kVecs = Rows > 1 ? 2 * kSpreadRows / Rows : 4;
  const float* p = block.scores + row * PRow;
  float* out = block.out + row * block.width;
  Index d = 0;
  for (; d + kVecs * kLanes <= block.width; d += kVecs * kLanes) {
    spread_tile<Rows, kVecs, PRow>(p, p_key, v + d, v_row, count, block.decay + row, out + d, block.width);
  }
  for (; d < block.width; d += kLanes) {
    spread_tile<Rows, 1, PRow>(p, p_key, v + d, v_row, count, block.decay + row, out + d, block.width);
  }
}

// Up to kSpreadRows rows read the values once.
template <int PRow, class T>
void spread(const Block& block, Index p_key, const T* v, Index v_row, Index count) {
  Index r = 0;
  if constexpr (kSpreadRows == 8) {
    for (; r + 8 <= block.rows; r += 8) spread_rows<8, PRow>(block, r, p_key, v, v_row, count);
  }
  for (; r + 4 <= block.rows; r += 4) spread_rows<4, PRow>(block, r, p_key, v, v_row, count);
  for (; r < block.rows; ++r) spread_rows<1, PRow>(block, r, p_key, v, v_row, count);
}

}  // namespace
}  // namespace voxtral::cpu
