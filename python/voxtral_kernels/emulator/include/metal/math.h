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

// A scalar function's vectors, element by element.
#define MSL_VECTOR_1(name)                            \
  template <typename T, int N>                        \
  MSL_FN msl_vec<T, N> name(msl_vec<T, N> a) {        \
    for (int i = 0; i < N; ++i) a[i] = name(T(a[i])); \
    return a;                                         \
  }
#define MSL_VECTOR_2(name)                                      \
  template <typename T, int N>                                  \
  MSL_FN msl_vec<T, N> name(msl_vec<T, N> a, msl_vec<T, N> b) { \
    for (int i = 0; i < N; ++i) a[i] = name(T(a[i]), T(b[i]));  \
    return a;                                                   \
  }                                                             \
  MSL_MIXED_2(name)
#define MSL_VECTOR_3(name)                                                       \
  template <typename T, int N>                                                   \
  MSL_FN msl_vec<T, N> name(msl_vec<T, N> a, msl_vec<T, N> b, msl_vec<T, N> c) { \
    for (int i = 0; i < N; ++i) a[i] = name(T(a[i]), T(b[i]), T(c[i]));          \
    return a;                                                                    \
  }                                                                              \
  MSL_MIXED_3(name)
// name(x), name(x, y) and name(x, y, z) for float, half and their vectors, from one float expression.
#define MSL_MATH_1(name, expression)                \
  MSL_FN float name(float x) { return expression; } \
  MSL_FN half name(half x_) {                       \
    float x = x_;                                   \
    return half(expression);                        \
  }                                                 \
  MSL_VECTOR_1(name)                                \
  template <typename T, int N>                      \
  MSL_FN msl_vec<T, N> name(packed_vec<T, N> a) {   \
    return name(msl_vec<T, N>(a));                  \
  }
#define MSL_MATH_2(name, expression)                         \
  MSL_FN float name(float x, float y) { return expression; } \
  MSL_FN half name(half x_, half y_) {                       \
    float x = x_, y = y_;                                    \
    return half(expression);                                 \
  }                                                          \
  MSL_VECTOR_2(name)
#define MSL_MATH_3(name, expression)                                  \
  MSL_FN float name(float x, float y, float z) { return expression; } \
  MSL_FN half name(half x_, half y_, half z_) {                       \
    float x = x_, y = y_, z = z_;                                     \
    return half(expression);                                          \
  }                                                                   \
  MSL_VECTOR_3(name)

// A vector beside scalars: these take its element type and its width.
template <typename A, typename B, typename C = B>
using msl_widest = conditional_t<(vec_traits<A>::size > 1), A, conditional_t<(vec_traits<B>::size > 1), B, C>>;
template <typename V>
using msl_plain_vector = msl_vec<typename vec_traits<V>::element, vec_traits<V>::size>;
template <typename... A>
struct msl_mixed {
  static constexpr constant bool scalars = (false || ... || (vec_traits<A>::size == 1 && is_arithmetic_v<A>));
  static constexpr constant bool vectors = (false || ... || (vec_traits<A>::size > 1));
};
template <typename A, typename B, typename C = B>
using msl_mixed_t =
    enable_if_t<msl_mixed<A, B, C>::scalars && msl_mixed<A, B, C>::vectors, msl_plain_vector<msl_widest<A, B, C>>>;
template <typename V, typename A>
MSL_FN constexpr V msl_wide(A a) {
  if constexpr (vec_traits<A>::size == 1) {
    return V(static_cast<typename vec_traits<V>::element>(a));
  } else {
    return a;
  }
}
#define MSL_MIXED_2(name)                        \
  template <typename A, typename B>              \
  MSL_FN msl_mixed_t<A, B> name(A a, B b) {      \
    using V = msl_mixed_t<A, B>;                 \
    return name(msl_wide<V>(a), msl_wide<V>(b)); \
  }
#define MSL_MIXED_3(name)                                        \
  template <typename A, typename B, typename C>                  \
  MSL_FN msl_mixed_t<A, B, C> name(A a, B b, C c) {              \
    using V = msl_mixed_t<A, B, C>;                              \
    return name(msl_wide<V>(a), msl_wide<V>(b), msl_wide<V>(c)); \
  }

#define MSL_PI 3.14159265358979323846f
MSL_FN float msl_half_turns(float x) { return x - 2.0f * __builtin_rintf(0.5f * x); }
// Folded to a quarter of a half turn, where pi times it loses nothing that the result would show.
MSL_FN float msl_sinpi(float x) {
  float r = msl_half_turns(x), a = __builtin_fabsf(r);
  if (a > 0.5f) a = 1.0f - a;
  return __builtin_copysignf(a > 0.25f ? ::cosf(MSL_PI * (0.5f - a)) : ::sinf(MSL_PI * a), r);
}
MSL_FN float msl_cospi(float x) {
  float a = __builtin_fabsf(msl_half_turns(x));
  return a < 0.25f ? ::cosf(MSL_PI * a) : msl_sinpi(0.5f - a);
}
#define MSL_FUNCTIONS_1(X)              \
  X(exp, ::expf(x))                     \
  X(exp2, ::exp2f(x))                   \
  X(exp10, ::powf(10.0f, x))            \
  X(log, ::logf(x))                     \
  X(log2, ::log2f(x))                   \
  X(log10, ::log10f(x))                 \
  X(sin, ::sinf(x))                     \
  X(cos, ::cosf(x))                     \
  X(tan, ::tanf(x))                     \
  X(sinpi, msl_sinpi(x))                \
  X(cospi, msl_cospi(x))                \
  X(tanpi, msl_sinpi(x) / msl_cospi(x)) \
  X(sinh, ::sinhf(x))                   \
  X(cosh, ::coshf(x))                   \
  X(tanh, ::tanhf(x))                   \
  X(asin, ::asinf(x))                   \
  X(acos, ::acosf(x))                   \
  X(atan, ::atanf(x))                   \
  X(asinh, ::asinhf(x))                 \
  X(acosh, ::acoshf(x))                 \
  X(atanh, ::atanhf(x))                 \
  X(sqrt, __builtin_sqrtf(x))           \
  X(rsqrt, 1.0f / __builtin_sqrtf(x))   \
  X(floor, __builtin_floorf(x))         \
  X(ceil, __builtin_ceilf(x))           \
  X(trunc, __builtin_truncf(x))         \
  X(rint, __builtin_rintf(x))           \
  X(round, __builtin_roundf(x))         \
  X(fabs, __builtin_fabsf(x))           \
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
// Below one in its own type.
MSL_FN float fract(float x) { return __builtin_fminf(x - __builtin_floorf(x), 0x1.fffffep-1f); }
MSL_FN half fract(half x) { return half(__builtin_fminf(float(x) - __builtin_floorf(float(x)), 0x1.ffcp-1f)); }
template <typename T, int N>
MSL_FN msl_vec<T, N> fract(msl_vec<T, N> a) {
  for (int i = 0; i < N; ++i) a[i] = fract(T(a[i]));
  return a;
}
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
MSL_MIXED_3(fma)

}  // namespace metal
