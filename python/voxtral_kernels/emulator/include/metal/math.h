// metal_math: the floating-point functions. All are computed in float by the host's libm and rounded once.
#pragma once

extern "C" {
// clang-format off
#define MSL_LIBM_1(X) \
  X(expf) X(exp2f) X(logf) X(log2f) X(log10f) X(sinf) X(cosf) X(tanf) X(sinhf) X(coshf) X(tanhf) X(asinf) \
  X(acosf) X(atanf) X(asinhf) X(acoshf) X(atanhf)
// clang-format on
#define MSL_DECLARE(name) float name(float);
MSL_LIBM_1(MSL_DECLARE)
#undef MSL_DECLARE
float atan2f(float, float);
float powf(float, float);
float fmodf(float, float);
float nextafterf(float, float);
float ldexpf(float, int);
float fmaf(float, float, float);
}

namespace metal {

// name(x), name(x, y) and name(x, y, z) for float, half and their vectors, from one float expression.
#define MSL_MATH_1(name, expression)                  \
  MSL_FN float name(float x) { return expression; }   \
  MSL_FN half name(half x_) {                         \
    float x = x_;                                     \
    return half(expression);                          \
  }                                                   \
  template <typename T, int N>                        \
  MSL_FN msl_vec<T, N> name(msl_vec<T, N> a) {        \
    for (int i = 0; i < N; ++i) a[i] = name(T(a[i])); \
    return a;                                         \
  }
#define MSL_MATH_2(name, expression)                            \
  MSL_FN float name(float x, float y) { return expression; }    \
  MSL_FN half name(half x_, half y_) {                          \
    float x = x_, y = y_;                                       \
    return half(expression);                                    \
  }                                                             \
  template <typename T, int N>                                  \
  MSL_FN msl_vec<T, N> name(msl_vec<T, N> a, msl_vec<T, N> b) { \
    for (int i = 0; i < N; ++i) a[i] = name(T(a[i]), T(b[i]));  \
    return a;                                                   \
  }
#define MSL_MATH_3(name, expression)                                             \
  MSL_FN float name(float x, float y, float z) { return expression; }            \
  MSL_FN half name(half x_, half y_, half z_) {                                  \
    float x = x_, y = y_, z = z_;                                                \
    return half(expression);                                                     \
  }                                                                              \
  template <typename T, int N>                                                   \
  MSL_FN msl_vec<T, N> name(msl_vec<T, N> a, msl_vec<T, N> b, msl_vec<T, N> c) { \
    for (int i = 0; i < N; ++i) a[i] = name(T(a[i]), T(b[i]), T(c[i]));          \
    return a;                                                                    \
  }

MSL_FN float msl_half_turns(float x) { return x - 2.0f * __builtin_rintf(0.5f * x); }

#define MSL_PI 3.14159265358979323846f
#define MSL_FUNCTIONS_1(X)                                           \
  X(exp, ::expf(x))                                                  \
  X(exp2, ::exp2f(x))                                                \
  X(exp10, ::powf(10.0f, x))                                         \
  X(log, ::logf(x))                                                  \
  X(log2, ::log2f(x))                                                \
  X(log10, ::log10f(x))                                              \
  X(sin, ::sinf(x))                                                  \
  X(cos, ::cosf(x))                                                  \
  X(tan, ::tanf(x))                                                  \
  X(sinpi, ::sinf(MSL_PI* msl_half_turns(x)))                        \
  X(cospi, ::cosf(MSL_PI* msl_half_turns(x)))                        \
  X(tanpi, ::tanf(MSL_PI* msl_half_turns(x)))                        \
  X(sinh, ::sinhf(x))                                                \
  X(cosh, ::coshf(x))                                                \
  X(tanh, ::tanhf(x))                                                \
  X(asin, ::asinf(x))                                                \
  X(acos, ::acosf(x))                                                \
  X(atan, ::atanf(x))                                                \
  X(asinh, ::asinhf(x))                                              \
  X(acosh, ::acoshf(x))                                              \
  X(atanh, ::atanhf(x))                                              \
  X(sqrt, __builtin_sqrtf(x))                                        \
  X(rsqrt, 1.0f / __builtin_sqrtf(x))                                \
  X(floor, __builtin_floorf(x))                                      \
  X(ceil, __builtin_ceilf(x))                                        \
  X(trunc, __builtin_truncf(x))                                      \
  X(rint, __builtin_rintf(x))                                        \
  X(round, __builtin_roundf(x))                                      \
  X(fabs, __builtin_fabsf(x))                                        \
  X(fract, __builtin_fminf(x - __builtin_floorf(x), 0x1.fffffep-1f)) \
  X(abs, __builtin_fabsf(x))
#define MSL_FUNCTIONS_2(X)       \
  X(atan2, ::atan2f(x, y))       \
  X(pow, ::powf(x, y))           \
  X(powr, ::powf(x, y))          \
  X(fmod, ::fmodf(x, y))         \
  X(divide, x / y)               \
  X(fmin, __builtin_fminf(x, y)) \
  X(fmax, __builtin_fmaxf(x, y)) \
  X(fdim, x > y ? x - y : 0.0f)  \
  X(min, __builtin_fminf(x, y))  \
  X(max, __builtin_fmaxf(x, y))
#define MSL_FUNCTIONS_3(X)                                                                       \
  X(clamp, __builtin_fminf(__builtin_fmaxf(x, y), z))                                            \
  X(fmin3, __builtin_fminf(__builtin_fminf(x, y), z))                                            \
  X(fmax3, __builtin_fmaxf(__builtin_fmaxf(x, y), z))                                            \
  X(min3, __builtin_fminf(__builtin_fminf(x, y), z))                                             \
  X(max3, __builtin_fmaxf(__builtin_fmaxf(x, y), z))                                             \
  X(fmedian3, __builtin_fmaxf(__builtin_fminf(x, y), __builtin_fminf(__builtin_fmaxf(x, y), z))) \
  X(median3, __builtin_fmaxf(__builtin_fminf(x, y), __builtin_fminf(__builtin_fmaxf(x, y), z)))

MSL_FUNCTIONS_1(MSL_MATH_1)
MSL_FUNCTIONS_2(MSL_MATH_2)
MSL_FUNCTIONS_3(MSL_MATH_3)
// Metal names these in neither fast:: nor precise::.
MSL_MATH_1(saturate, __builtin_fminf(__builtin_fmaxf(x, 0.0f), 1.0f))
MSL_MATH_1(sign, x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x == x ? x : 0.0f)
MSL_MATH_2(copysign, __builtin_copysignf(x, y))
MSL_MATH_2(step, y < x ? 0.0f : 1.0f)
MSL_MATH_3(mix, x + (y - x) * z)
MSL_FN float msl_smoothstep(float t) { return t * t * (3.0f - 2.0f * t); }
MSL_MATH_3(smoothstep, msl_smoothstep(saturate((z - x) / (y - x))))
MSL_FN float fma(float x, float y, float z) { return ::fmaf(x, y, z); }
MSL_FN half fma(half x, half y, half z) { return half(::fmaf(x, y, z)); }
template <typename T, int N>
MSL_FN msl_vec<T, N> fma(msl_vec<T, N> a, msl_vec<T, N> b, msl_vec<T, N> c) {
  for (int i = 0; i < N; ++i) a[i] = fma(T(a[i]), T(b[i]), T(c[i]));
  return a;
}
// A vector with a scalar bound or weight.
template <typename T, int N>
MSL_FN msl_vec<T, N> mix(msl_vec<T, N> a, msl_vec<T, N> b, T t) {
  return mix(a, b, msl_vec<T, N>(t));
}
template <typename T, int N>
MSL_FN msl_vec<T, N> clamp(msl_vec<T, N> a, T low, T high) {
  return clamp(a, msl_vec<T, N>(low), msl_vec<T, N>(high));
}
template <typename T, int N>
MSL_FN msl_vec<T, N> min(msl_vec<T, N> a, T b) {
  return min(a, msl_vec<T, N>(b));
}
template <typename T, int N>
MSL_FN msl_vec<T, N> max(msl_vec<T, N> a, T b) {
  return max(a, msl_vec<T, N>(b));
}

MSL_FN float nextafter(float x, float y) { return ::nextafterf(x, y); }
MSL_FN float ldexp(float x, int k) { return ::ldexpf(x, k); }
MSL_FN half ldexp(half x, int k) { return half(::ldexpf(x, k)); }
MSL_FN int ilogb(float x) { return int((as_type<uint>(x) >> 23) & 255) - 127; }
MSL_FN float frexp(float x, thread int& exponent) {
  exponent = 0;
  if (x == 0.0f || !(__builtin_fabsf(x) < __builtin_inff())) return x;
  exponent = int(__builtin_floorf(::log2f(__builtin_fabsf(x)))) + 1;
  float mantissa = ::ldexpf(x, -exponent);
  if (__builtin_fabsf(mantissa) >= 1.0f) return ++exponent, mantissa * 0.5f;
  if (__builtin_fabsf(mantissa) < 0.5f) return --exponent, mantissa * 2.0f;
  return mantissa;
}
MSL_FN half frexp(half x, thread int& exponent) { return half(frexp(float(x), exponent)); }
MSL_FN float modf(float x, thread float& whole) {
  whole = __builtin_truncf(x);
  return __builtin_copysignf(x - whole, x);
}
MSL_FN float sincos(float x, thread float& cosine) {
  cosine = ::cosf(x);
  return ::sinf(x);
}

// One precision serves all three: what fast:: rounds otherwise only a GPU can tell.
#define MSL_USING(name, expression) using metal::name;
namespace fast {
MSL_FUNCTIONS_1(MSL_USING)
MSL_FUNCTIONS_2(MSL_USING)
MSL_FUNCTIONS_3(MSL_USING)
using metal::sincos;
}  // namespace fast
namespace precise {
MSL_FUNCTIONS_1(MSL_USING)
MSL_FUNCTIONS_2(MSL_USING)
MSL_FUNCTIONS_3(MSL_USING)
using metal::sincos;
}  // namespace precise
#undef MSL_USING

}  // namespace metal
