// What moves values from lane to lane: sums, the largest, transposition.
#pragma once

#include <utility>

#include "simd.h"

namespace voxtral::cpu {
namespace {

using Lanes = std::make_integer_sequence<int, kLanes>;

template <int... Lane>
inline IntVec lane_numbers(std::integer_sequence<int, Lane...>) {
  return IntVec{Lane...};
}

template <int Block, int... Lane>
inline Vec even_blocks(Vec a, Vec b, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(a, b, (Lane / Block * 2 * Block + Lane % Block)...);
}
template <int Block, int... Lane>
inline Vec odd_blocks(Vec a, Vec b, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(a, b, (Lane / Block * 2 * Block + Block + Lane % Block)...);
}
template <int Block, int... Lane>
inline Vec swap_low(Vec a, Vec b, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(a, b, (Lane & Block ? Lane - Block + kLanes : Lane)...);
}
template <int Block, int... Lane>
inline Vec swap_high(Vec a, Vec b, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(a, b, (Lane & Block ? Lane + kLanes : Lane + Block)...);
}
// Every other block of lanes of a, between them those of b: each where it stands, and each where its neighbour does.
template <int Block>
inline Vec in_place(Vec a, Vec b) {
#if defined(__AVX2__) && !defined(__AVX512F__)  // GCC 12 shuffles, and shuffles are what a tile's end waits for
  return bits_of<Vec>(_mm256_blend_ps(bits_of<__m256>(a), bits_of<__m256>(b), Block == 4 ? 0xf0 : 0xcc));
#else
  const IntVec second = (lane_numbers(Lanes{}) & Block) != 0;
  return second ? b : a;
#endif
}
template <int Block, int... Lane>
inline Vec exchanged(Vec a, Vec b, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(a, b, ((Lane ^ Block) + (Lane & Block ? kLanes : 0))...);
}
// Of each four lanes those of a, then those of b.
template <int... Lane>
inline Vec even_in_four(Vec a, Vec b, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(a, b, (Lane - Lane % 4 + Lane % 2 * 2 + (Lane & 2 ? kLanes : 0))...);
}
template <int... Lane>
inline Vec odd_in_four(Vec a, Vec b, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(a, b, (Lane - Lane % 4 + Lane % 2 * 2 + 1 + (Lane & 2 ? kLanes : 0))...);
}
// Adds up each of N vectors (N a power of two, at most kLanes): lane i of the result is the sum of v[i]. Whatever N is, the
// same additions: lanes half a vector apart, then a quarter, and so on. A whole vector of sums stays within four lanes from
// there on, as AVX2 takes several instructions to leave them.
template <int N, int Block = kLanes / 2>
inline Vec sum_each(const Vec* v) {
  if constexpr (Block == 0) {
    return v[0];
  } else if constexpr (N == 1) {
    const Vec folded = even_blocks<Block>(v[0], v[0], Lanes{}) + odd_blocks<Block>(v[0], v[0], Lanes{});
    return sum_each<1, Block / 2>(&folded);
  } else {
    constexpr bool kWhole = N == 2 * Block, kFar = kWhole && Block >= 4;
    Vec pairs[N / 2];
    for (int i = 0; i < N / 2; ++i) {
      const Vec a = v[kFar ? i : 2 * i], b = v[kFar ? i + Block : 2 * i + 1];
      if constexpr (kWhole && Block > 1) {
        pairs[i] = in_place<Block>(a, b) + exchanged<Block>(a, b, Lanes{});
      } else if constexpr (kWhole) {
        pairs[i] = even_in_four(a, b, Lanes{}) + odd_in_four(a, b, Lanes{});
      } else {
        pairs[i] = even_blocks<Block>(a, b, Lanes{}) + odd_blocks<Block>(a, b, Lanes{});
      }
    }
    return sum_each<N / 2, Block / 2>(pairs);
  }
}

// The sums of adjacent lanes: those of a in the lower half, those of b in the upper.
inline Vec sum_neighbours(Vec a, Vec b) { return even_blocks<1>(a, b, Lanes{}) + odd_blocks<1>(a, b, Lanes{}); }

// 0 in the lower half, 1 in the upper.
template <int... Lane>
inline IntVec upper_half(std::integer_sequence<int, Lane...>) {
  return IntVec{(Lane / (kLanes / 2))...};
}

template <int... Lane>
inline Vec swap_halves(Vec v, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(v, v, (Lane ^ kLanes / 2)...);
}

// Lane l of the result is lane words[l] % kLanes of v.
inline Vec permuted(Vec v, WordVec words) {
#if defined(__AVX512F__)
  return bits_of<Vec>(_mm512_permutexvar_ps(bits_of<__m512i>(words), bits_of<__m512>(v)));
#else
  Vec result;
  for (int i = 0; i < kLanes; ++i) result[i] = v[words[i] % kLanes];
  return result;
#endif
}

inline float sum(Vec v) { return sum_each<1>(&v)[0]; }

template <int Block = kLanes / 2>
inline float maximum_of(Vec v) {
  if constexpr (Block == 0) {
    return v[0];
  } else {
    return maximum_of<Block / 2>(maximum(even_blocks<Block>(v, v, Lanes{}), odd_blocks<Block>(v, v, Lanes{})));
  }
}

// Transposes kLanes vectors in place, swapping blocks of halving size.
template <int Block = kLanes / 2>
inline void transpose(Vec* v) {
  if constexpr (Block > 0) {
    for (int i = 0; i < kLanes; ++i) {
      if (i & Block) continue;
      const Vec low = swap_low<Block>(v[i], v[i + Block], Lanes{});
      v[i + Block] = swap_high<Block>(v[i], v[i + Block], Lanes{});
      v[i] = low;
    }
    transpose<Block / 2>(v);
  }
}

}  // namespace
}  // namespace voxtral::cpu
