// metal_math: functions with an exponent or a second result, and the namespaces fast and precise.
#pragma once

namespace metal {

MSL_FN float nextafter(float x, float y) { return ::nextafterf(x, y); }
MSL_FN half nextafter(half x, half y) {
  if (__builtin_isnan(float(x)) || __builtin_isnan(float(y))) return half(__builtin_nanf(""));
  if (x == y) return y;
  ushort bits = __builtin_bit_cast(ushort, x);
  if ((bits & 0x7fff) == 0) return __builtin_bit_cast(half, ushort(y > x ? 1 : 0x8001));
  return __builtin_bit_cast(half, ushort((x < y) == (x > half(0)) ? bits + 1 : bits - 1));
}
template <typename T, int N>
MSL_FN msl_vec<T, N> nextafter(msl_vec<T, N> a, msl_vec<T, N> b) {
  for (int i = 0; i < N; ++i) a[i] = nextafter(T(a[i]), T(b[i]));
  return a;
}
MSL_MIXED_2(nextafter)

MSL_FN float ldexp(float x, int k) { return ::ldexpf(x, k); }
MSL_FN half ldexp(half x, int k) { return half(::ldexpf(x, k)); }
template <typename T, int N>
MSL_FN msl_vec<T, N> ldexp(msl_vec<T, N> a, msl_vec<int, N> k) {
  for (int i = 0; i < N; ++i) a[i] = ldexp(T(a[i]), k[i]);
  return a;
}
template <typename T, int N>
MSL_FN msl_vec<T, N> ldexp(msl_vec<T, N> a, int k) {
  return ldexp(a, msl_vec<int, N>(k));
}

MSL_FN float frexp(float x, thread int& exponent) {
  exponent = 0;
  if (x == 0.0f || !(__builtin_fabsf(x) < __builtin_inff())) return x;
  int up = __builtin_fabsf(x) < 0x1p-126f ? 32 : 0;  // a subnormal has no exponent of its own
  uint bits = __builtin_bit_cast(uint, up ? x * 0x1p32f : x);
  exponent = int(bits >> 23 & 255) - 126 - up;
  return __builtin_bit_cast(float, (bits & 0x807fffff) | 0x3f000000);
}
MSL_FN half frexp(half x, thread int& exponent) { return half(frexp(float(x), exponent)); }
template <typename T, int N>
MSL_FN msl_vec<T, N> frexp(msl_vec<T, N> a, thread msl_vec<int, N>& exponents) {
  for (int i = 0; i < N; ++i) {
    int exponent;
    a[i] = frexp(T(a[i]), exponent);
    exponents[i] = exponent;
  }
  return a;
}

// FP_ILOGB0 and FP_ILOGBNAN for what has no exponent.
MSL_FN int ilogb(float x) {
  if (x == 0.0f) return -2147483647 - 1;
  if (!(__builtin_fabsf(x) < __builtin_inff())) return __builtin_isnan(x) ? -2147483647 - 1 : 2147483647;
  int exponent;
  frexp(x, exponent);
  return exponent - 1;
}
MSL_FN int ilogb(half x) { return ilogb(float(x)); }
template <typename T, int N>
MSL_FN msl_vec<int, N> ilogb(msl_vec<T, N> a) {
  msl_vec<int, N> r;
  for (int i = 0; i < N; ++i) r[i] = ilogb(T(a[i]));
  return r;
}

MSL_FN float modf(float x, thread float& whole) {
  whole = __builtin_truncf(x);
  return __builtin_copysignf(__builtin_isinf(x) ? 0.0f : x - whole, x);
}
MSL_FN float sincos(float x, thread float& cosine) {
  cosine = ::cosf(x);
  return ::sinf(x);
}
#define MSL_SECOND_RESULT(name)                                              \
  MSL_FN half name(half x, thread half& second) {                            \
    float wide;                                                              \
    half first = half(name(float(x), wide));                                 \
    second = half(wide);                                                     \
    return first;                                                            \
  }                                                                          \
  template <typename T, int N>                                               \
  MSL_FN msl_vec<T, N> name(msl_vec<T, N> a, thread msl_vec<T, N>& second) { \
    for (int i = 0; i < N; ++i) {                                            \
      T part;                                                                \
      a[i] = name(T(a[i]), part);                                            \
      second[i] = part;                                                      \
    }                                                                        \
    return a;                                                                \
  }
MSL_SECOND_RESULT(modf)
MSL_SECOND_RESULT(sincos)
#undef MSL_SECOND_RESULT

// One precision serves all three: what fast:: rounds otherwise only a GPU can tell. Scalars have the function of float
// alone here: PyTorch's kernels, which Apple compiles, give atan2 a half beside a float, log an integer, abs a bfloat.
#define MSL_SINGLE_VECTORS(name)                                                                \
  template <typename... A, typename = enable_if_t<(false || ... || (vec_traits<A>::size > 1))>> \
  MSL_FN auto name(A... a) {                                                                    \
    return metal::name(a...);                                                                   \
  }
#define MSL_SINGLE_1(name, expression)                  \
  MSL_FN float name(float x) { return metal::name(x); } \
  MSL_SINGLE_VECTORS(name)
#define MSL_SINGLE_2(name, expression)                              \
  MSL_FN float name(float x, float y) { return metal::name(x, y); } \
  MSL_SINGLE_VECTORS(name)
#define MSL_SINGLE_3(name, expression)                                          \
  MSL_FN float name(float x, float y, float z) { return metal::name(x, y, z); } \
  MSL_SINGLE_VECTORS(name)
namespace fast {
MSL_FUNCTIONS_1(MSL_SINGLE_1)
MSL_FUNCTIONS_2(MSL_SINGLE_2)
MSL_FUNCTIONS_3(MSL_SINGLE_3)
using metal::fract;
using metal::saturate;
using metal::sincos;
}  // namespace fast
namespace precise {
MSL_FUNCTIONS_1(MSL_SINGLE_1)
MSL_FUNCTIONS_2(MSL_SINGLE_2)
MSL_FUNCTIONS_3(MSL_SINGLE_3)
using metal::fract;
using metal::saturate;
using metal::sincos;
}  // namespace precise
#undef MSL_SINGLE_VECTORS
#undef MSL_SINGLE_1
#undef MSL_SINGLE_2
#undef MSL_SINGLE_3

}  // namespace metal
