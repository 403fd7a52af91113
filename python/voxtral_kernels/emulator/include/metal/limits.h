// metal_limits: numeric_limits of every arithmetic type.
#pragma once

namespace metal {

// The specialisations are of this one, as in Apple's headers, so that kernels which add theirs find it.
template <typename T>
struct _numeric_limits_impl {
  static constexpr constant bool is_specialized = false;
};
template <typename T>
struct numeric_limits : _numeric_limits_impl<T> {};

#define MSL_INTEGER_LIMITS(T, low, high)                                   \
  template <>                                                              \
  struct _numeric_limits_impl<T> {                                         \
    static constexpr constant bool is_specialized = true;                  \
    static constexpr constant bool is_integer = true;                      \
    static constexpr constant bool is_signed = __is_signed(T);             \
    static constexpr constant bool has_infinity = false;                   \
    static constexpr constant int digits = sizeof(T) * 8 - __is_signed(T); \
    static constexpr T min() { return low; }                               \
    static constexpr T max() { return high; }                              \
    static constexpr T lowest() { return low; }                            \
    static constexpr T epsilon() { return 0; }                             \
    static constexpr T infinity() { return 0; }                            \
  };
MSL_INTEGER_LIMITS(bool, false, true)
MSL_INTEGER_LIMITS(char, -128, 127)
MSL_INTEGER_LIMITS(int8_t, -128, 127)
MSL_INTEGER_LIMITS(uchar, 0, 255)
MSL_INTEGER_LIMITS(short, -32768, 32767)
MSL_INTEGER_LIMITS(ushort, 0, 65535)
MSL_INTEGER_LIMITS(int, -2147483647 - 1, 2147483647)
MSL_INTEGER_LIMITS(uint, 0, 4294967295u)
MSL_INTEGER_LIMITS(long, -9223372036854775807l - 1, 9223372036854775807l)
MSL_INTEGER_LIMITS(ulong, 0, 18446744073709551615ul)
#undef MSL_INTEGER_LIMITS

#define MSL_FLOAT_LIMITS(T, low, high, eps, mantissa)                     \
  template <>                                                             \
  struct _numeric_limits_impl<T> {                                        \
    static constexpr constant bool is_specialized = true;                 \
    static constexpr constant bool is_integer = false;                    \
    static constexpr constant bool is_signed = true;                      \
    static constexpr constant bool has_infinity = true;                   \
    static constexpr constant int digits = mantissa;                      \
    static constexpr T min() { return T(low); }                           \
    static constexpr T max() { return T(high); }                          \
    static constexpr T lowest() { return T(-high); }                      \
    static constexpr T epsilon() { return T(eps); }                       \
    static constexpr T infinity() { return T(__builtin_inff()); }         \
    static constexpr T quiet_NaN() { return T(__builtin_nanf("")); }      \
    static constexpr T signaling_NaN() { return T(__builtin_nansf("")); } \
    static constexpr T denorm_min() { return T(low * eps); }              \
    static constexpr T round_error() { return T(0.5f); }                  \
  };
MSL_FLOAT_LIMITS(float, __FLT_MIN__, __FLT_MAX__, __FLT_EPSILON__, 24)
MSL_FLOAT_LIMITS(half, 6.103515625e-05f, 65504.0f, 0.0009765625f, 11)
MSL_FLOAT_LIMITS(bfloat, __FLT_MIN__, 3.38953138925153547590e+38f, 0.0078125f, 8)
#undef MSL_FLOAT_LIMITS

}  // namespace metal
