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

// Scores of Count rows with the keys that are there; asks for the keys to come and for the same keys' values.
template <class Mac, int Count, class K, class T>
[[gnu::noinline]] void scores_of_rows(const Block& block, const Rows<K>& k, Index words, const Ahead<T>& ahead) {
  using Word = std::remove_cvref_t<decltype(*words_of<Mac>(k.base[0]))>;
  constexpr int kKeys = least(8, kDotRows * kDotColumns / Count);
  constexpr Index kTiles = 8;  // added up together: what a tile's sums wait for, the next one's do not
  for (int i = 0; i < k.count; ++i) {
    const Index step = k.step[i] * Index(sizeof(K)), bytes = words * Index(sizeof(Word));
    const char* key = reinterpret_cast<const char*>(k.base[i]);
    const auto score = [&]<int Columns>(Index first, Index tiles) __attribute__((always_inline)) {
      Vec sums[kTiles][Count * Columns];
      for (Index t = 0; t < tiles; ++t, key += Columns * step) {
        ahead.template values<Columns>(first + t * Columns);
        for (int c = 0; c < Columns; ++c) {
          const char* to_come = key + c * step + kAhead * sizeof(Word);
          for (Index byte = 0; byte < bytes; byte += 64) __builtin_prefetch(to_come + byte, 0, 3);
        }
        score_tile<Mac, Count, Columns, Word>(block.q, block.width, key, step, words, sums[t]);
      }
      for (Index t = 0; t < tiles; ++t) {
        store_sums<Count, Columns>(sums[t], block.scores + first + t * Columns, kBlockKeys);
      }
    };
    Index j = k.first[i];
    const Index end = k.first[i + 1];
    for (Index tiles; (tiles = least(kTiles, (end - j) / kKeys)) > 0; j += tiles * kKeys) {
      score.template operator()<kKeys>(j, tiles);
    }
    for (Index tiles; (tiles = least(kTiles, end - j)) > 0; j += tiles) score.template operator()<1>(j, tiles);
  }
}

template <class Mac, class K, class T>
void scores_vector(const Block& block, const Rows<K>& k, Index words, const Ahead<T>& ahead) {
  if (block.rows > 2) return scores_of_rows<Mac, kVectorRows>(block, k, words, ahead);
  if (block.rows > 1) return scores_of_rows<Mac, 2>(block, k, words, ahead);
  scores_of_rows<Mac, 1>(block, k, words, ahead);
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
