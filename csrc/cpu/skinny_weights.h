// How the stored rows of a weight become vectors of floats: a chunk of `kVecs` vectors at a time, each read once.
//
// A 32-bit word holds several neighbours of a row, so a vector of words is taken apart by masks alone and vector p of a
// chunk holds the elements p, p + kSplit, p + 2 kSplit ... of it; the rows that it is multiplied with are laid out alike.
// Numbers masked where they stand are 2^s too large: what they are multiplied with is as much smaller, `kDown`.
#pragma once

#include "tile.h"

namespace voxtral::cpu {
namespace {

// Numbers less their middle, which the group's bias makes up for: sums about as large as the result's lose least.
template <int Bits, int Shift = 0>
inline Vec centred(WordVec numbers) {
  return __builtin_convertvector(bits_of<IntVec>(numbers), Vec) - float(1u << (Bits - 1 + Shift));
}
constexpr float middle(Index bits) { return float(1 << (bits - 1)); }

struct FloatWeights {
  static constexpr bool kQuantized = false;
  static constexpr int kVecs = 1, kSplit = 1, kBits = 32, kDown = 0;
  using Raw = Vec;
  static Raw load(const char* p) { return load_raw<Vec>(p); }
  template <int P>
  static Vec vec(Raw raw) {
    return raw;
  }
};

struct HalfWeights {
  static constexpr bool kQuantized = false;
  static constexpr int kVecs = 1, kSplit = 1, kBits = 16, kDown = 0;
  using Raw = Vec;
  static Raw load(const char* p) { return cpu::load(reinterpret_cast<const Half*>(p)); }
  template <int P>
  static Vec vec(Raw raw) {
    return raw;
  }
};

struct BfloatWeights {
  static constexpr bool kQuantized = false;
  static constexpr int kVecs = 2, kSplit = 2, kBits = 16, kDown = 0;
  using Raw = WordVec;
  static Raw load(const char* p) { return load_raw<WordVec>(p); }
  template <int P>
  static Vec vec(Raw raw) {
    return bits_of<Vec>(P == 0 ? raw << 16 : raw & 0xffff0000u);
  }
};

// 4 or 8 bits: one word holds 8 or 4 numbers; those of its upper half are masked behind one shift.
template <int Bits>
struct PackedWeights {
  static constexpr bool kQuantized = true;
  static constexpr int kVecs = 32 / Bits, kSplit = kVecs, kBits = Bits, kDown = Bits;
  using Raw = WordVec;
  static Raw load(const char* p) { return load_raw<WordVec>(p); }
  template <int P>
  static Vec vec(Raw raw) {
    constexpr int kHalf = kVecs / 2;
    constexpr int kShift = P % kHalf * Bits;
    return centred<Bits, kShift>((P < kHalf ? raw : raw >> 16) & ((1u << Bits) - 1) << kShift);
  }
};

// Any number of bits: 32 numbers are as many words, and 4 numbers stand within a word that begins at some byte.
template <int Bits>
struct StreamWeights {
  static constexpr bool kQuantized = true;
  static constexpr int kVecs = 32 / kLanes, kSplit = 1, kBits = Bits, kDown = 0;
  using Raw = const char*;
  static Raw load(const char* p) { return p; }

  static constexpr int byte_of(int four) { return four * Bits / 2 < 4 * Bits - 4 ? four * Bits / 2 : 4 * Bits - 4; }
  static constexpr int shift_of(int number) { return number * Bits - 8 * byte_of(number / 4); }

  template <int First, int... Lane>
  static Vec numbers(const char* p, std::integer_sequence<int, Lane...>) {
    std::uint32_t words[kLanes / 4];
    for (int i = 0; i < kLanes / 4; ++i) __builtin_memcpy(&words[i], p + byte_of(First / 4 + i), 4);
    const WordVec spread{words[Lane / 4]...};
    constexpr WordVec kShifts{std::uint32_t(shift_of(First + Lane))...};
    return centred<Bits>(spread >> kShifts & ((1u << Bits) - 1));
  }
  template <int P>
  static Vec vec(Raw raw) {
    return numbers<P * kLanes>(raw, Lanes{});
  }
};

// What a chunk's vectors of the other operand are scaled by, see above.
template <class W>
constexpr float down(int p) {
  return W::kDown ? 1.0f / float(1u << p % (W::kVecs / 2 ? W::kVecs / 2 : 1) * W::kDown) : 1.0f;
}

template <class W>
constexpr Index kChunk = Index(W::kVecs) * kLanes;  // elements
template <class W>
constexpr Index kChunkBytes = kChunk<W> * W::kBits / 8;

// Lane l of v[p] becomes element l * P + p of the P vectors that stand one behind the other.
template <int P>
inline void split(Vec* v) {
  if constexpr (P > 1) {
    Vec even[P / 2], odd[P / 2];
    for (int i = 0; i < P / 2; ++i) {
      even[i] = even_blocks<1>(v[2 * i], v[2 * i + 1], Lanes{});
      odd[i] = odd_blocks<1>(v[2 * i], v[2 * i + 1], Lanes{});
    }
    split<P / 2>(even);
    split<P / 2>(odd);
    for (int i = 0; i < P / 2; ++i) v[2 * i] = even[i], v[2 * i + 1] = odd[i];
  }
}

}  // namespace
}  // namespace voxtral::cpu
