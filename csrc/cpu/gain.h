// The gain of a norm, weight * (1 + scale), in float32.
#pragma once

#include "rows.h"

namespace voxtral::cpu {
namespace {

template <class T>
void multiply_gain(const void* factor, Index dim, float plus, float* gain) {
  const T* f = static_cast<const T*>(factor);
  for (Index d = 0; d < dim; d += kLanes) {
    const int part = int(least(kLanes, dim - d));
    const Vec before = load_part(gain + d, part);  // 1 + factor would round once more, which a short sum shows
    store_part(gain + d, multiply_add(before, load_part(f + d, part), before * plus), part);
  }
}

inline void multiply_gain(Dtype dtype, const void* factor, Index dim, float plus, float* gain) {
  with_type(dtype, [&]<class T>() { multiply_gain<T>(factor, dim, plus, gain); });
}

// weight, scale: [dim] or null.
inline void fill_gain(Dtype dtype, const void* weight, Dtype scale_dtype, const void* scale, Index dim, float* gain) {
  for (Index d = 0; d < dim; ++d) gain[d] = 1.0f;
  if (weight) multiply_gain(dtype, weight, dim, 0.0f, gain);
  if (scale) multiply_gain(scale_dtype, scale, dim, 1.0f, gain);
}

// x + residual, rounded to the storage type on its way through h.
template <class T>
inline Vec add_rounded(Vec x, Vec residual, T* h) {
  store(h, x + residual);
  return load(h);
}

}  // namespace
}  // namespace voxtral::cpu
