// How the stored rows of a weight become vectors of floats: a chunk of `kVecs` vectors at a time, each byte read once.
//
// Vector p of a chunk holds its neighbours, or the elements p, p + 2, p + 4 ... where two lie in one word (`kSplit`); the
// rows that it is multiplied with are laid out alike. Numbers of few bits become scale * number + bias here, rounded once, so
// that a sum over them is a sum over floats: its terms are no larger than the result's, and a row needs one accumulator.
#pragma once

#include "tile.h"

namespace voxtral::cpu {
namespace {

// What a weight that is not quantised needs of its groups.
struct NoGroup {};

struct FloatWeights {
  using Mac = Floats;
  static constexpr bool kQuantized = false;
  static constexpr int kVecs = 1, kSplit = 1, kBits = 32;
  using Group = NoGroup;
  template <int P>
  static Vec vec(const char* p, Group) {
    return load_raw<Vec>(p);
  }
};

struct HalfWeights {
  using Mac = Floats;
  static constexpr bool kQuantized = false;
  static constexpr int kVecs = 1, kSplit = 1, kBits = 16;
  using Group = NoGroup;
  template <int P>
  static Vec vec(const char* p, Group) {
    return load(reinterpret_cast<const Half*>(p));
  }
};

struct BfloatWeights {
  using Mac = Floats;
  static constexpr bool kQuantized = false;
  static constexpr int kVecs = 2, kSplit = 2, kBits = 16;
  using Group = NoGroup;
  template <int P>
  static Vec vec(const char* p, Group) {
    const WordVec pairs = load_raw<WordVec>(p);
    return bits_of<Vec>(P == 0 ? pairs << 16 : pairs & 0xffff0000u);
  }
};

// scale * number + bias: looked up where 16 floats are one register, else computed.
template <int Bits>
struct Dequantized {
  static constexpr bool kTable = Bits <= 4 && kLanes == 16;
  Vec scale, bias;  // with a table the first alone: what number l % 2^Bits is, in lane l

  Dequantized() = default;
  Dequantized(float s, float b) : scale(splat(s)), bias(splat(b)) {
    const IntVec numbers = lane_numbers(Lanes{}) & ((1 << Bits) - 1);
    if constexpr (kTable) scale = multiply_add(__builtin_convertvector(numbers, Vec), scale, bias);
  }
  // `words` hold a number each in their lowest bits, and perhaps others above.
  Vec operator()(WordVec words) const {
    if constexpr (kTable) {
      return permuted(scale, words);
    } else {
      const WordVec numbers = words & ((1u << Bits) - 1);
      return multiply_add(__builtin_convertvector(bits_of<IntVec>(numbers), Vec), scale, bias);
    }
  }
  // `words` hold nothing else.
  Vec of_alone(WordVec words) const {
    if constexpr (kTable) {
      return permuted(scale, words);
    } else {
      return multiply_add(__builtin_convertvector(bits_of<IntVec>(words), Vec), scale, bias);
    }
  }
};

// 4 or 8 bits: a byte holds two numbers or one.
template <int Bits>
struct ByteWeights {
  using Mac = Floats;
  static constexpr bool kQuantized = true;
  static constexpr int kVecs = 32 / kLanes, kSplit = 8 / Bits, kBits = Bits;
  using Group = Dequantized<Bits>;
  template <int P>
  static Vec vec(const char* p, const Group& group) {
    const WordVec bytes = load_bytes(p + P / kSplit * kLanes);
    return P % kSplit ? group.of_alone(bytes >> Bits) : Bits == 8 ? group.of_alone(bytes) : group(bytes);
  }
};

// Any number of bits: 32 numbers are as many words, and 4 numbers stand within a word that begins at some byte.
template <int Bits>
struct StreamWeights {
  using Mac = Floats;
  static constexpr bool kQuantized = true;
  static constexpr int kVecs = 32 / kLanes, kSplit = 1, kBits = Bits;
  using Group = Dequantized<Bits>;

  static constexpr int byte_of(int four) { return four * Bits / 2 < 4 * Bits - 4 ? four * Bits / 2 : 4 * Bits - 4; }
  static constexpr int shift_of(int number) { return number * Bits - 8 * byte_of(number / 4); }

  template <int First, int... Lane>
  static WordVec words(const char* p, std::integer_sequence<int, Lane...>) {
    constexpr WordVec kShifts{std::uint32_t(shift_of(First + Lane))...};
    std::uint32_t fours[kLanes / 4];
    for (int i = 0; i < kLanes / 4; ++i) __builtin_memcpy(&fours[i], p + byte_of(First / 4 + i), 4);
    const WordVec spread{fours[Lane / 4]...};
    return spread >> kShifts;
  }
  template <int P>
  static Vec vec(const char* p, const Group& group) {
    return group(words<P * kLanes>(p, Lanes{}));
  }
};

template <class W>
constexpr Index kChunk = Index(W::kVecs) * kLanes * (W::Mac::kPairs ? 2 : 1);  // elements
template <class W>
constexpr Index kChunkBytes = kChunk<W> * W::kBits / 8;

// Lane l of v[2 i + p] becomes element 2 l + p of the two vectors that stand one behind the other, for each such pair.
template <int Vecs>
inline void split(Vec* v) {
  for (int i = 0; i < Vecs; i += 2) {
    const Vec even = even_blocks<1>(v[i], v[i + 1], Lanes{}), odd = odd_blocks<1>(v[i], v[i + 1], Lanes{});
    v[i] = even, v[i + 1] = odd;
  }
}

}  // namespace
}  // namespace voxtral::cpu
