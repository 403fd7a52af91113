// Softmax over keys that arrive in pieces: sums are kept relative to the greatest score so far (the peak) and rescaled
// when it grows. Milakov & Gimelshein 2018, "Online normalizer calculation for softmax".
#pragma once

// Below every score that counts; finite, so that differences of peaks stay numbers while nothing was seen.
constant constexpr float kNothingSeen = -1e38f;

struct OnlineSoftmax {
  float peak = kNothingSeen;
  float total = 0;

  // Raises the peak; returns what everything summed so far must be multiplied by.
  METAL_FUNC float raise(float score) {
    const float higher = max(peak, score);
    const float factor = fast::exp(peak - higher);
    peak = higher;
    total *= factor;
    return factor;
  }

  // Weight of a key whose score is at most the peak; 0 where it is not visible.
  METAL_FUNC float weight(float score, bool visible) const { return visible ? fast::exp(score - peak) : 0.0f; }

  // Takes in keys that were summed apart; returns what sums are multiplied by: those so far, and those of the part.
  METAL_FUNC float2 join(float part_peak, float part_total) {
    const float factor = raise(part_peak);
    const float weight = fast::exp(part_peak - peak);
    total = fma(part_total, weight, total);
    return float2(factor, weight);
  }
};
