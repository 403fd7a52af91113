// One vector type, of the width this translation unit is compiled for, on the vector extension of GCC and clang.
//
// Everything in the per-ISA sources lives in unnamed namespaces: a function compiled for AVX-512 must never be the copy
// that the linker keeps for another instruction set.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#  include <immintrin.h>
#elif defined(__aarch64__)
#  include <arm_neon.h>
#endif

namespace voxtral::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

using Vec = float __attribute__((vector_size(kLanes * 4)));
using IntVec = std::int32_t __attribute__((vector_size(kLanes * 4)));
using WordVec = std::uint32_t __attribute__((vector_size(kLanes * 4)));
using LongVec = std::int64_t __attribute__((vector_size(kLanes * 4)));
using ShortVec = std::uint16_t __attribute__((vector_size(kLanes * 2)));
using ByteVec = std::int8_t __attribute__((vector_size(kLanes)));

struct Half {
  std::uint16_t bits;
};
struct Bfloat {
  std::uint16_t bits;
};

template <class To, class From>
inline To bits_of(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

template <class V, class T>
inline V load_raw(const T* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

inline Vec splat(float x) { return x - Vec{}; }

inline Vec load(const float* p) { return load_raw<Vec>(p); }
inline void store(float* p, Vec v) { __builtin_memcpy(p, &v, sizeof v); }

// a * b + sum, rounded once where the processor can. Left to the compiler, which of several alike loops has it may differ.
inline Vec multiply_add(Vec a, Vec b, Vec sum) {
#if defined(__AVX512F__)
  return bits_of<Vec>(_mm512_fmadd_ps(bits_of<__m512>(a), bits_of<__m512>(b), bits_of<__m512>(sum)));
#elif defined(__FMA__)
  return bits_of<Vec>(_mm256_fmadd_ps(bits_of<__m256>(a), bits_of<__m256>(b), bits_of<__m256>(sum)));
#elif defined(__aarch64__)
  return bits_of<Vec>(vfmaq_f32(bits_of<float32x4_t>(sum), bits_of<float32x4_t>(a), bits_of<float32x4_t>(b)));
#else
  return a * b + sum;
#endif
}

// GCC 12 builds the widening out of halves, at four shuffles in place of one instruction.
inline WordVec widen(ShortVec v) {
#if defined(__AVX512F__)
  return bits_of<WordVec>(_mm512_cvtepu16_epi32(bits_of<__m256i>(v)));
#elif defined(__AVX2__)
  return bits_of<WordVec>(_mm256_cvtepu16_epi32(bits_of<__m128i>(v)));
#else
  return __builtin_convertvector(v, WordVec);
#endif
}

// Bytes as words, zeros above.
inline WordVec load_bytes(const char* p) {
#if defined(__AVX512F__)
  return bits_of<WordVec>(_mm512_cvtepu8_epi32(load_raw<__m128i>(p)));
#elif defined(__AVX2__)
  return bits_of<WordVec>(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(load_raw<std::int64_t>(p))));
#elif defined(__SSE4_1__)
  return bits_of<WordVec>(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(load_raw<std::int32_t>(p))));
#else
  using Bytes = std::uint8_t __attribute__((vector_size(kLanes)));
  return __builtin_convertvector(load_raw<Bytes>(p), WordVec);
#endif
}

inline Vec load(const std::int8_t* p) {
  const ByteVec v = load_raw<ByteVec>(p);
#if defined(__AVX512F__)
  return bits_of<Vec>(_mm512_maskz_cvtepi32_ps(0xffff, _mm512_maskz_cvtepi8_epi32(0xffff, bits_of<__m128i>(v))));
#elif defined(__AVX2__)
  return bits_of<Vec>(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(bits_of<std::int64_t>(v)))));
#elif defined(__SSE4_1__)
  return bits_of<Vec>(_mm_cvtepi32_ps(_mm_cvtepi8_epi32(_mm_cvtsi32_si128(bits_of<std::int32_t>(v)))));
#else
  return __builtin_convertvector(__builtin_convertvector(v, IntVec), Vec);
#endif
}

inline Vec load(const Bfloat* p) { return bits_of<Vec>(widen(load_raw<ShortVec>(p)) << 16); }

inline void store(Bfloat* p, Vec v) {
  const WordVec word = bits_of<WordVec>(v);
  const WordVec rounded = (word + 0x7fff + ((word >> 16) & 1)) >> 16;  // to nearest, ties to even
  const WordVec quiet_nan = (word >> 16) | 0x40;
  const ShortVec result = __builtin_convertvector(v == v ? rounded : quiet_nan, ShortVec);
  __builtin_memcpy(p, &result, sizeof result);
}

#if defined(__AVX512F__)
// The masked forms spare GCC 12 a false warning about an uninitialised register.
inline Vec load(const Half* p) { return bits_of<Vec>(_mm512_maskz_cvtph_ps(0xffff, load_raw<__m256i>(p))); }
inline void store(Half* p, Vec v) {
  const __m256i half = _mm512_maskz_cvtps_ph(0xffff, bits_of<__m512>(v), _MM_FROUND_TO_NEAREST_INT);
  __builtin_memcpy(p, &half, sizeof half);
}
#elif defined(__F16C__)
inline Vec load(const Half* p) { return bits_of<Vec>(_mm256_cvtph_ps(load_raw<__m128i>(p))); }
inline void store(Half* p, Vec v) {
  const __m128i half = _mm256_cvtps_ph(bits_of<__m256>(v), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __builtin_memcpy(p, &half, sizeof half);
}
#elif defined(__aarch64__)
inline Vec load(const Half* p) { return bits_of<Vec>(vcvt_f32_f16(load_raw<float16x4_t>(p))); }
inline void store(Half* p, Vec v) {
  const float16x4_t half = vcvt_f16_f32(bits_of<float32x4_t>(v));
  __builtin_memcpy(p, &half, sizeof half);
}
#else
// No conversion instruction in x86-64-v2. Scaling by 2^112 moves the exponent's bias and normalises subnormals at once.
inline Vec load(const Half* p) {
  const WordVec half = widen(load_raw<ShortVec>(p));
  const WordVec sign = (half & 0x8000) << 16, magnitude = (half & 0x7fff) << 13;
  const WordVec finite = bits_of<WordVec>(bits_of<Vec>(magnitude) * 0x1p112f);
  return bits_of<Vec>(sign | (magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : finite));
}
inline void store(Half* p, Vec v) {
  const WordVec word = bits_of<WordVec>(v), sign = (word >> 16) & 0x8000, magnitude = word & 0x7fffffff;
  const WordVec normal = (magnitude + 0xfff + ((magnitude >> 13) & 1) - (112u << 23)) >> 13;
  // Adding 0.5 lets the adder round a subnormal at 2^-24, the place of a half's last bit.
  const WordVec subnormal = bits_of<WordVec>(bits_of<Vec>(magnitude) + 0.5f) - bits_of<WordVec>(splat(0.5f));
  WordVec half = magnitude < (113u << 23) ? subnormal : normal;
  half = magnitude >= 0x477ff000u ? WordVec{} + 0x7c00 : half;  // 65520 and above
  half = magnitude > 0x7f800000u ? WordVec{} + 0x7e00 : half;
  const ShortVec result = __builtin_convertvector(half | sign, ShortVec);
  __builtin_memcpy(p, &result, sizeof result);
}
#endif

// The first n lanes only; on loading the others are zero.
template <class T>
inline Vec load_part(const T* p, int n) {
  if (n == kLanes) return load(p);
  T padded[kLanes] = {};
  for (int i = 0; i < n; ++i) padded[i] = p[i];
  return load(padded);
}

template <class T>
inline void store_part(T* p, Vec v, int n) {
  if (n == kLanes) return store(p, v);
  T padded[kLanes];
  store(padded, v);
  for (int i = 0; i < n; ++i) p[i] = padded[i];
}

// A NaN in either operand of `x` survives: the comparison is false, so the first operand's value stays.
inline Vec maximum(Vec floor, Vec x) { return x < floor ? floor : x; }

// exp(x) for x <= 0, 0 below -87, NaN of NaN. Minimax polynomial for (exp(r) - 1 - r) / r^2, 2 ulp.
inline Vec exp_nonpositive(Vec given) {
  const Vec x = maximum(splat(-87.0f), given);
  const Vec shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: rounds to an integer in the low bits
  const Vec n = shifted - 12582912.0f;
  const Vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vec p = splat(0.00139336521f);
  p = p * r + 0.00836318173f;
  p = p * r + 0.0416664667f;
  p = p * r + 0.166665763f;
  p = p * r + 0.5f;
  p = p * (r * r) + r + 1.0f;
  const IntVec exponent = (bits_of<IntVec>(shifted) - 0x4b400000) << 23;
  const Vec y = bits_of<Vec>(bits_of<IntVec>(p) + exponent);
  return given < -87.0f ? Vec{} : y;
}

// g / (1 + exp(-g)). e = exp(-|g|) never overflows: 1 / (1 + e) above zero, e / (1 + e) below, where exp_nonpositive stops at exp(-87).
inline Vec silu(Vec g) {
  const Vec e = exp_nonpositive(g < 0.0f ? g : -g);
  const Vec below = g < -87.0f ? splat(0.0f) : e;
  return g * (g < 0.0f ? below : splat(1.0f)) / (1.0f + e);
}

// x * Phi(x) = x / 2 * erfc(-x / sqrt 2). erfc(z) = exp(-Q(z)) for z in [0, 5], Q a fitted polynomial without constant
// term: absolute error of erfc 8e-8, so no cancellation on either side of zero. Beyond z = 5 it is 0 (true: below 2e-12):
// x times what the polynomial leaves there would grow with x, and -inf times 0 would be NaN.
inline Vec gelu(Vec x) {
  const Vec scaled = x * 0.707106781f;
  Vec z = scaled < 0.0f ? -scaled : scaled;
  z = z > 5.0f ? splat(5.0f) : z;
  Vec q = splat(-4.7930062e-8f);
  q = q * z + 1.41968739e-6f;
  q = q * z + -1.84005148e-5f;
  q = q * z + 1.35913186e-4f;
  q = q * z + -6.12005882e-4f;
  q = q * z + 1.51728955e-3f;
  q = q * z + 1.03623424e-4f;
  q = q * z + -0.0193758421f;
  q = q * z + 0.102871619f;
  q = q * z + 0.636601686f;
  q = q * z + 1.12838018f;
  const Vec erfc = exp_nonpositive(-(q * z));
  const Vec y = 0.5f * x * (x < 0.0f ? erfc : 2.0f - erfc);
  return scaled < -5.0f ? splat(-0.0f) : y;
}

}  // namespace
}  // namespace voxtral::cpu
