// Interleaved pairs turned by the angles of their position.
#pragma once

#include "tile.h"

namespace voxtral::cpu {
namespace {

template <int... Lane>
inline Vec firsts(Vec v, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(v, v, (Lane & ~1)...);
}
template <int... Lane>
inline Vec seconds(Vec v, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(v, v, (Lane | 1)...);
}
template <int... Lane>
inline Vec swapped(Vec v, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(v, v, (Lane ^ 1)...);
}
// -1 for the first member of a pair, 1 for the second.
template <int... Lane>
inline Vec signs(std::integer_sequence<int, Lane...>) {
  return Vec{float(Lane % 2 * 2 - 1)...};
}

// y[2i] = x[2i] cos - x[2i + 1] sin, y[2i + 1] = x[2i + 1] cos + x[2i] sin; rotation: cos, sin of each pair.
template <class From, class To>
void rotate(const From* x, const float* rotation, Index dim, To* y) {
  for (Index d = 0; d < dim; d += kLanes) {
    const int part = int(least(kLanes, dim - d));
    const Vec v = load_part(x + d, part), angle = load_part(rotation + d, part);
    const Vec turned = swapped(v, Lanes{}) * (seconds(angle, Lanes{}) * signs(Lanes{}));
    store_part(y + d, v * firsts(angle, Lanes{}) + turned, part);
  }
}

}  // namespace
}  // namespace voxtral::cpu
