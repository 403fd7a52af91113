// The online softmax of attention: turns a block of scores into weights and keeps the running maximum and sum.
#pragma once

#include "attention_block.h"
#include "simd.h"

namespace voxtral::cpu {
namespace {

constexpr float kMasked = -3.402823466e38f;

inline void clear(float* p, Index n, float value) {
  for (Index i = 0; i < n; ++i) p[i] = value;
}

// Few rows, scores [rows, kBlockKeys]: lanes along the keys.
inline void softmax_vector(const Block& block, const Keys& keys, float scale) {
  for (Index r = 0; r < block.rows; ++r) {
    float* s = block.scores + r * kBlockKeys;
    const Index begin = most(keys.begin, least(block.low[r] - keys.first, keys.end));
    const Index end = most(begin, least(block.high[r] + 1 - keys.first, keys.end));
    const Index padded = round_up(keys.end, kLanes);
    for (Index j = begin; j < end; ++j) s[j] *= scale;
    clear(s, begin, kMasked);
    clear(s + end, padded - end, kMasked);
    Vec most_of = splat(block.largest[r]);
    for (Index j = 0; j < padded; j += kLanes) most_of = maximum(most_of, load(s + j));
    const float largest = maximum_of(most_of);
    block.decay[r] = exp_nonpositive(splat(block.largest[r] - largest))[0];
    Vec total = {};
    for (Index j = 0; j < padded; j += kLanes) store(s + j, exp_nonpositive(load(s + j) - largest));
    clear(s, begin, 0.0f);
    clear(s + end, padded - end, 0.0f);
    for (Index j = 0; j < padded; j += kLanes) total = total + load(s + j);
    block.total[r] = block.total[r] * block.decay[r] + sum(total);
    block.largest[r] = largest;
  }
}

// Many rows, scores [keys, padded_rows]: lanes along the rows, kLanes of them from `row`; weights are added up as
// softmax_vector adds them. Parts = 2: the rows fill half a vector, and a vector holds the scores of two keys.
template <int Parts, bool Masked>
void softmax_rows(const Block& block, const Keys& keys, Index row, float scale) {
  constexpr int kSums = kLanes / Parts;
  const IntVec low = load_raw<IntVec>(block.low + row) - std::int32_t(keys.first);
  IntVec high = load_raw<IntVec>(block.high + row) - std::int32_t(keys.first);
  if constexpr (Parts == 2) {  // an odd number of keys leaves half a vector
    const IntVec last = IntVec{} + std::int32_t(keys.end - 1);
    high = high < last ? high : last;
  }
  const Vec before = load(block.largest + row);
  const auto visible = [&](Index j) {
    IntVec at = IntVec{} + std::int32_t(j);
    if constexpr (Parts == 2) at = at + upper_half(Lanes{});
    return (at >= low) & (at <= high);
  };
  const Index begin = keys.begin / Parts * Parts;
  float* s = block.scores + row;
  Vec largest = before;
  for (Index j = begin; j < keys.end; j += Parts) {
    Vec score = load(s + j * block.padded_rows) * scale;
    if constexpr (Masked) score = visible(j) ? score : splat(kMasked);
    store(s + j * block.padded_rows, score);
    largest = maximum(largest, score);
  }
  if constexpr (Parts == 2) largest = maximum(largest, swap_halves(largest, Lanes{}));
  const Vec decay = exp_nonpositive(before - largest);
  Vec totals[kSums] = {};  // of this block alone: a long sum rounds less in parts
  for (Index j = begin; j < keys.end; j += Parts) {
    Vec p = exp_nonpositive(load(s + j * block.padded_rows) - largest);
    if constexpr (Masked) p = visible(j) ? p : Vec{};
    store(s + j * block.padded_rows, p);
    totals[j / Parts % kSums] += p;
  }
  for (int half = kSums / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) totals[i] += totals[i + half];
  }
  Vec total = totals[0];
  if constexpr (Parts == 2) total = total + swap_halves(total, Lanes{});
  store(block.largest + row, largest);
  store(block.total + row, load(block.total + row) * decay + total);
  store(block.decay + row, decay);
}

// True where some lane of the vector does not hold a key that its row sees.
inline bool is_masked(const Block& block, const Keys& keys, Index row, Index parts) {
  if (keys.begin % parts != 0 || keys.end % parts != 0) return true;
  for (Index i = row; i < row + kLanes; ++i) {
    if (block.low[i] > keys.first + keys.begin || block.high[i] < keys.first + keys.end - 1) return true;
  }
  return false;
}

// All rows of the block, scores [keys, padded_rows].
template <int Parts>
void softmax_tiled(const Block& block, const Keys& keys, float scale) {
  for (Index row = 0; row < block.padded_rows; row += kLanes) {
    if (is_masked(block, keys, row, Parts)) {
      softmax_rows<Parts, true>(block, keys, row, scale);
    } else {
      softmax_rows<Parts, false>(block, keys, row, scale);
    }
  }
}

}  // namespace
}  // namespace voxtral::cpu
