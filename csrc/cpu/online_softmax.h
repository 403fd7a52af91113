// The online softmax of attention: turns a block of scores into weights and keeps the running maximum and sum.
#pragma once

#include "attention_block.h"
#include "lanes.h"

namespace voxtral::cpu {
namespace {

constexpr float kMasked = -3.402823466e38f;

inline void clear(float* p, Index n, float value) {
  for (Index i = 0; i < n; ++i) p[i] = value;
}

// Few rows, scores [rows, kBlockKeys]: lanes along the keys. Scaled: a key's scale goes to its scores on the way, a value's
// to its weights.
template <bool Scaled>
inline void softmax_vector(const Block& block, const Keys& keys, float scale) {
  [[maybe_unused]] float held[2][kBlockKeys];
  [[maybe_unused]] const float *k_scales = nullptr, *v_scales = nullptr;
  if constexpr (Scaled) k_scales = key_scales(keys, false, held[0]), v_scales = key_scales(keys, true, held[1]);
  const Index padded = round_up(keys.end, kLanes);
  // body(j, shown) for each vector of row r's scores; shown(x, hidden) is x where the row sees the key.
  const auto each = [&](Index r, const auto& body) {
    const Index begin = most(keys.begin, least(block.low[r] - keys.first, keys.end));
    const Index end = most(begin, least(block.high[r] + 1 - keys.first, keys.end));
    if (end - begin == kBlockKeys) {
      for (Index j = 0; j < kBlockKeys; j += kLanes) body(j, [](Vec x, float) { return x; });
    } else {
      for (Index j = 0; j < padded; j += kLanes) {
        const IntVec at = lane_numbers(Lanes{}) + std::int32_t(j);
        const IntVec seen = (at >= std::int32_t(begin)) & (at < std::int32_t(end));
        body(j, [=](Vec x, float hidden) { return seen ? x : splat(hidden); });
      }
    }
  };
  const Vec before = load(block.largest);
  for (Index r = 0; r < block.rows; ++r) {
    float* s = block.scores + r * kBlockKeys;
    Vec largest = splat(block.largest[r]);
    each(r, [&](Index j, const auto& shown) {
      Vec score = load(s + j);
      if constexpr (Scaled) score = score * load(k_scales + j);
      score = shown(score * scale, kMasked);
      store(s + j, score);
      largest = maximum(largest, score);
    });
    block.largest[r] = maximum_of(largest);
  }
  const Vec decay = exp_nonpositive(before - load(block.largest));
  store(block.decay, decay);
  float sums[kLanes] = {};
  for (Index r = 0; r < block.rows; ++r) {
    float* s = block.scores + r * kBlockKeys;
    const float largest = block.largest[r];
    Vec total = {};
    each(r, [&](Index j, const auto& shown) {
      Vec weight = shown(exp_nonpositive(load(s + j) - largest), 0.0f);
      total = total + weight;
      // 0 stays: a row that nobody sees may have the scale NaN.
      if constexpr (Scaled) weight = weight == 0.0f ? weight : weight * load(v_scales + j);
      store(s + j, weight);
    });
    sums[r] = sum(total);
  }
  store(block.total, multiply_add(load(block.total), decay, load(sums)));
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
  store(block.total + row, multiply_add(load(block.total + row), decay, total));
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

// Scores or weights [keys, padded_rows] times the scale of each key's row; 0 stays as in softmax_vector.
template <bool Weights>
void scale_rows(const Block& block, const Keys& keys) {
  float held[kBlockKeys];
  const float* scales = key_scales(keys, Weights, held);
  for (Index j = keys.begin; j < keys.end; ++j) {
    float* s = block.scores + j * block.padded_rows;
    for (Index r = 0; r < block.padded_rows; ++r) s[r] = Weights && s[r] == 0 ? 0.0f : s[r] * scales[j];
  }
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

template <bool Scaled>
void softmax(const Block& block, const Keys& keys, float scale, bool tiled) {
  if (!tiled) return softmax_vector<Scaled>(block, keys, scale);
  if constexpr (Scaled) scale_rows<false>(block, keys);
  block.padded_rows < kLanes ? softmax_tiled<2>(block, keys, scale) : softmax_tiled<1>(block, keys, scale);
  if constexpr (Scaled) scale_rows<true>(block, keys);
}

}  // namespace
}  // namespace voxtral::cpu
