// V neighbouring numbers of a weight's row: as they lie in memory, and their values.
#pragma once

// Affine, as mx.quantize packs it: number i of a row stands at the bits [i BITS, (i + 1) BITS) of its words, the lowest
// first; value = scale * number + bias. V BITS is a multiple of 32.
template <typename T, int BITS, int V>
struct WeightPiece {
  static constexpr constant int WORDS = V * BITS / 32;
  Packed<uint, WORDS> words;
  float scale;
  float bias;

  // Numbers k .. k + V of row n; 0 past `end`.
  template <typename W>
  METAL_FUNC void load(W weight, uint n, uint dim, uint k, uint end) {
    words = load_bounded<uint, WORDS>(weight + size_t(n) * (dim / 32 * BITS), k / V * WORDS, end / 32 * BITS);
  }

  METAL_FUNC float value(int i) const {
    const int at = i * BITS;
    uint number = words.v[at / 32] >> (at % 32);
    if (at % 32 + BITS > 32) {
      number |= words.v[at / 32 + 1] << (32 - at % 32);
    }
    return fma(scale, float(number & ((1u << BITS) - 1)), bias);
  }
};

template <typename T, int V>
struct WeightPiece<T, 0, V> {
  Packed<T, V> numbers;
  float scale;
  float bias;

  template <typename W>
  METAL_FUNC void load(W weight, uint n, uint dim, uint k, uint end) {
    numbers = load_bounded<T, V>(weight + size_t(n) * dim, k, end);
  }

  METAL_FUNC float value(int i) const { return float(numbers.v[i]); }
};

// What the weight's buffer holds.
template <typename T, int BITS>
struct WeightWord {
  typedef uint Type;
};

template <typename T>
struct WeightWord<T, 0> {
  typedef T Type;
};
