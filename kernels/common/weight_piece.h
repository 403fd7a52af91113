// V neighbouring numbers of a weight's row: as they lie in memory, and their values.
#pragma once

constant constexpr int kLanes = 8;  // a simdgroup takes four rows at once, with 8 lanes each

// Which of the four a lane's is, and its place there: neighbouring lanes have different rows.
METAL_FUNC uint run_of(uint lane) { return lane / 16 + lane % 2 * 2; }

METAL_FUNC uint place_of(uint lane) { return lane % 16 / 2; }

// Bits that a shuffle takes.
template <int SIZE>
struct Shuffled {
  typedef uint Type;
};

template <>
struct Shuffled<2> {
  typedef ushort Type;
};

// Numbers from + N place .. + N of a lane's row; 0 past `end`. Of 16 bytes neighbours ask for the halves, first of the
// one's row, then of the other's, and swap what is not theirs: every access is of whole segments, 8 bytes a lane.
template <typename T, int N, typename P>
METAL_FUNC Packed<T, N> load_runs(P rows, uint first, uint n, size_t stride, uint from, uint end, uint lane) {
  if (N * sizeof(T) != 16) {
    const uint row = first + run_of(lane);
    return load_bounded<T, N>(rows + row * stride, from + place_of(lane) * N, row < n ? end : 0);
  }
  constexpr int HALF = N / 2;
  const uint even = first + lane / 16;
  const uint at = from + lane % 16 * HALF;
  const bool odd = lane % 2;
  const Packed<T, HALF> of_even = load_bounded<T, HALF>(rows + even * stride, at, even < n ? end : 0);
  const Packed<T, HALF> of_odd = load_bounded<T, HALF>(rows + (even + 2) * stride, at, even + 2 < n ? end : 0);
  typedef typename Shuffled<sizeof(T)>::Type Bits;
  Packed<T, N> all;
  for (int j = 0; j < HALF; ++j) {
    const T given = odd ? of_even.v[j] : of_odd.v[j];
    const T got = as_type<T>(simd_shuffle_xor(as_type<Bits>(given), ushort(1)));
    all.v[j] = odd ? got : of_even.v[j];
    all.v[HALF + j] = odd ? of_odd.v[j] : got;
  }
  return all;
}

// Affine, as mx.quantize packs it: number i of a row stands at the bits [i BITS, (i + 1) BITS) of its words, the lowest
// first; value = scale * number + bias. V BITS is a multiple of 32.
template <typename T, int BITS, int V>
struct WeightPiece {
  static constexpr constant int WORDS = V * BITS / 32;
  Packed<uint, WORDS> words;
  float scale;
  float bias;

  // Numbers from k on of the rows first .. first + 4.
  template <typename W>
  METAL_FUNC void load(W weight, uint first, uint n, uint dim, uint k, uint lane) {
    const uint row = dim / 32 * BITS;
    words = load_runs<uint, WORDS>(weight, first, n, row, k / V * WORDS, row, lane);
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
  METAL_FUNC void load(W weight, uint first, uint n, uint dim, uint k, uint lane) {
    numbers = load_runs<T, V>(weight, first, n, dim, k, dim, lane);
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
