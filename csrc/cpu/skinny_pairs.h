// Weights that meet bfloat16 rows as pairs of bfloat16 values, two products an instruction, summed in float32.
//
// A weight that is not quantised is used as it is stored. The numbers of one of 4 bits are whole in bfloat16; their sums
// take a group's scale once, and its bias meets the sum of the group's elements:
//   sum_k (scale n_k + bias) x_k = scale sum_k n_k x_k + bias sum_k x_k.
// More or other bits gain nothing: making the pairs takes as long as making floats.
#pragma once

#include "skinny_weights.h"

namespace voxtral::cpu {
namespace {

// Lane l is a pair: elements First + l * Step, and Apart further, of floats that are bfloat16 values.
template <Index Step, Index Apart>
inline Vec pairs_of(const float* row) {
  std::uint32_t words[2 * kLanes * 4], pairs[kLanes];
  constexpr Index kReach = (kLanes - 1) * Step + Apart + 1;
  static_assert(kReach <= Index(sizeof words / sizeof *words));
  __builtin_memcpy(words, row, kReach * 4);
  for (Index l = 0; l < kLanes; ++l) pairs[l] = words[l * Step] >> 16 | (words[l * Step + Apart] & 0xffff0000u);
  return load_raw<Vec>(pairs);
}

struct PairedBfloats {
  using Mac = Bfloat16Pairs;
  static constexpr bool kQuantized = false;
  static constexpr int kVecs = 1, kBits = 16;
  using Group = NoGroup;
  template <int P>
  static Vec vec(const char* p, Group) {
    return load_raw<Vec>(p);
  }
  template <int P>
  static Vec operand(const float* row) {
    return pairs_of<2, 1>(row);
  }
};

// The number in the lowest 4 bits of each half word as a bfloat16 value; the bits above them are anything.
inline Vec paired_numbers(WordVec halves) {
#if defined(__AVX512BW__)
  static constexpr auto kNumbers = [] {  // twice, as five bits choose
    struct {
      std::uint16_t bits[32];
    } table{};
    for (int i = 0; i < 32; ++i) {
      const unsigned n = i % 16, exponent = n < 2 ? 0 : n < 4 ? 1 : n < 8 ? 2 : 3;
      table.bits[i] = n ? std::uint16_t((127 + exponent) << 7 | (n << (7 - exponent) & 0x7f)) : std::uint16_t(0);
    }
    return table;
  }();
  return bits_of<Vec>(_mm512_permutexvar_epi16(bits_of<__m512i>(halves), load_raw<__m512i>(&kNumbers)));
#else
  const auto number = [](WordVec n) { return bits_of<WordVec>(__builtin_convertvector(bits_of<IntVec>(n), Vec)); };
  return bits_of<Vec>(number(halves & 0xf) >> 16 | number(halves >> 16 & 0xf));
#endif
}

// 4 bits: vector p holds numbers p, p + 4, p + 8 ... of a chunk, as each half word has four.
struct PairedNibbles {
  using Mac = Bfloat16Pairs;
  static constexpr bool kQuantized = true;
  static constexpr int kVecs = 4, kBits = 4;
  using Group = NoGroup;
  template <int P>
  static Vec vec(const char* p, Group) {
    const Vec chunk = in_register(load_raw<Vec>(p));  // a row may lie across lines, and each read of one counts twice
#if defined(__AVX512BW__)
    return paired_numbers(bits_of<WordVec>(_mm512_srli_epi16(bits_of<__m512i>(chunk), 4 * P)));
#else
    return paired_numbers(bits_of<WordVec>(chunk) >> 4 * P);
#endif
  }
  template <int P>
  static Vec operand(const float* row) {
    return pairs_of<8, 4>(row + P);
  }
};

}  // namespace
}  // namespace voxtral::cpu
