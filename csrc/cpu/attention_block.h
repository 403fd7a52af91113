// A block of keys in attention, for the rows of one task, and its two products on the register tiles: scores = q k^T and
// out = out * decay + p v.
#pragma once

#include "attention_keys.h"

namespace voxtral::cpu {
namespace {

constexpr int kAhead = 2048;        // words of the keys to come
constexpr Index kWaitingRows = 32;  // with more, a block's arithmetic takes longer than its way from memory
constexpr Index kVectorRows = 4;    // the vector variant's most rows
constexpr Index kOrdered = 16;      // with more queries, scores are summed in another order, which is faster
// Words of such a score that a lane sums in one go; each product rounds too where there is no fused multiply-add.
#if defined(__FMA__) || defined(__aarch64__)
constexpr int kScoreChunk = 32;
#else
constexpr int kScoreChunk = 8;
#endif
struct Block {
  Index rows, padded_rows, width;  // width: dim rounded up to whole vectors
  Index lanes;                     // padded_rows, but a whole vector at least: rows of half a vector lie twice in it
  Index first_row;
  bool ordered;        // a row's result does not depend on how many there are
  float* q;            // vector: [rows, width] floats or pairs; tiled: [words, lanes]
  float* scores;       // [kBlockKeys, padded_rows] or [rows, kBlockKeys]
  float* out;          // [padded_rows, width]
  float* k;            // [kBlockKeys, width]: converted or padded keys
  float* v;            // [kBlockKeys, width]
  float* largest;      // [lanes]: running maximum of the scaled scores
  float* total;        // [lanes]: running sum of exponentials
  float* decay;        // [lanes]: factor of what was summed before this block
  std::int32_t* low;   // [lanes]: first visible position, relative to the task's first block
  std::int32_t* high;  // [lanes]: last visible position
};

// Scores or weights times the scale of each key's row. A weight of 0 stays: a row that nobody sees may have the scale NaN.
template <bool Weights>
void scale_keys(const Block& block, const Keys& keys, bool tiled) {
  const auto scaled = [](float score, float scale) { return Weights && score == 0 ? 0.0f : score * scale; };
  for (int i = 0; i < keys.count && keys.runs[i].in_ring; ++i) {
    const Run& run = keys.runs[i];
    const float* scales = (Weights ? run.v_scales : run.k_scales) - run.first;
    if (tiled) {
      for (Index j = run.first; j < run.last; ++j) {
        float* s = block.scores + j * block.padded_rows;
        for (Index r = 0; r < block.padded_rows; ++r) s[r] = scaled(s[r], scales[j]);
      }
    } else {
      for (Index r = 0; r < block.rows; ++r) {
        float* s = block.scores + r * kBlockKeys;
        for (Index j = run.first; j < run.last; ++j) s[j] = scaled(s[j], scales[j]);
      }
    }
  }
}

// Scores of Rows rows from `first` on with those of kDotColumns keys from `key` on that are there, Columns at a time.
template <class Mac, int Rows, int Columns, class Word>
void scores_of_rows(const Block& block, const Keys& keys, Index first, Index key, const Word* const* columns,
                    Index words) {
  const float* rows[Rows];
  for (Index i = 0; i < Rows; ++i) rows[i] = block.q + least(first + i, block.rows - 1) * block.width;
  for (Index c = 0; c < kDotColumns; c += Columns) {
    float sums[Rows * Columns];
    dot_tile<Mac, Rows, Columns, kAhead>(rows, columns + c, words, sums, Columns);
    const Index begin = most(0, keys.begin - key - c), end = least(Columns, keys.end - key - c);
    for (Index i = 0; i < Rows && first + i < block.rows; ++i) {
      float* to = block.scores + (first + i) * kBlockKeys + key + c;
      if (end - begin == Columns) {
        __builtin_memcpy(to, sums + i * Columns, Columns * 4);
      } else {
        for (Index j = begin; j < end; ++j) to[j] = sums[i * Columns + j];
      }
    }
  }
}

template <class Mac, class K, class T>
void scores_vector(const Block& block, const Keys& keys, const Rows<K>& k, Index words, const Ahead<T>& ahead) {
  // What is converted as it is read is read once by all rows, if by fewer keys at a time.
  constexpr Index kRowsAtOnce = kIsFloat<K> || Mac::kPairs ? kDotRows : kVectorRows;
  for (Index j = keys.begin / kDotColumns * kDotColumns; j < keys.end; j += kDotColumns) {
    ahead.template values<kDotColumns>(j);
    const K* rows_of_k[kDotColumns];
    k.template near<kDotColumns>(j, rows_of_k);
    decltype(words_of<Mac>(k.base[0])) columns[kDotColumns];
    for (Index c = 0; c < kDotColumns; ++c) columns[c] = words_of<Mac>(rows_of_k[c]);
    Index r = 0;
    for (; r + kDotRows < block.rows; r += kRowsAtOnce) {
      scores_of_rows<Mac, kRowsAtOnce, kDotRows * kDotColumns / kRowsAtOnce>(block, keys, r, j, columns, words);
    }
    for (; r + 1 < block.rows; r += kDotRows)
      scores_of_rows<Mac, kDotRows, kDotColumns>(block, keys, r, j, columns, words);
    if (r < block.rows) scores_of_rows<Mac, 1, kDotColumns>(block, keys, r, j, columns, words);
  }
}

template <class Mac, int RowVecs, int Parts = 1, class K, class T>
void scores_tiled(const Block& block, const Keys& keys, Index row, const Rows<K>& k, Index words,
                  const Ahead<T>& ahead) {
  constexpr int kCount = RowVecs == 1 ? kFewRowColumns : kColumns;
  for (Index j = keys.begin / kCount * kCount; j < keys.end; j += kCount) {
    if (block.padded_rows <= kWaitingRows && row == 0) {
      ahead.template values<kCount>(j);
      ahead.template next_keys<kCount>(j);
    }
    const K* rows_of_k[kCount];
    k.template near<kCount>(j, rows_of_k);
    const float* columns[kCount];
    for (Index c = 0; c < kCount; ++c) columns[c] = words_of<Mac>(rows_of_k[c]);
    const float* q = block.q + row;
    float* to = block.scores + j * block.padded_rows + row;
    if (block.ordered || Parts > 1) {
      dot_rows_tile<Mac, RowVecs, kCount, Parts>(q, block.lanes, columns, words, to, block.padded_rows);
    } else {
      rows_tile<Mac, RowVecs, kCount, kScoreChunk>(q, block.lanes, columns, words, to, block.padded_rows, false);
    }
  }
}

template <class Mac, class K, class T>
void scores_tiled(const Block& block, const Keys& keys, const Rows<K>& k, Index words, const Ahead<T>& ahead) {
  Index row = 0;
  for (; row + kTileRows <= block.padded_rows; row += kTileRows) {
    scores_tiled<Mac, kRowVecs>(block, keys, row, k, words, ahead);
  }
  for (; row + kLanes <= block.padded_rows; row += kLanes) scores_tiled<Mac, 1>(block, keys, row, k, words, ahead);
  if (row < block.padded_rows) scores_tiled<Mac, 1, 2>(block, keys, row, k, words, ahead);
}

template <int Out, int PRow, class T>
void spread_rows(const Block& block, Index row, Index p_key, const Rows<T>& v) {
  constexpr int kVecs = Out > 1 ? 2 * kSpreadRows / Out : 4;
  const float* p = block.scores + row * PRow;
  float* out = block.out + row * block.width;
  Index d = 0;
  for (; d + kVecs * kLanes <= block.width; d += kVecs * kLanes) {
    spread_tile<Out, kVecs, PRow>(p, p_key, v, d, block.decay + row, out, block.width);
  }
  for (; d < block.width; d += kLanes) {
    spread_tile<Out, 1, PRow>(p, p_key, v, d, block.decay + row, out, block.width);
  }
}

// Up to kSpreadRows rows read the values once.
template <int PRow, class T>
void spread(const Block& block, Index p_key, const Rows<T>& v) {
  Index r = 0;
  if constexpr (kSpreadRows == 8) {
    for (; r + 8 <= block.rows; r += 8) spread_rows<8, PRow>(block, r, p_key, v);
  }
  for (; r + 4 <= block.rows; r += 4) spread_rows<4, PRow>(block, r, p_key, v);
  for (; r < block.rows; ++r) spread_rows<1, PRow>(block, r, p_key, v);
}

}  // namespace
}  // namespace voxtral::cpu
