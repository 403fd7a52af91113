// metal_relational: tests of floating-point values, select, any, all.
#pragma once

namespace metal {

#define MSL_TEST(name, expression)                    \
  MSL_FN bool name(float x) { return expression; }    \
  MSL_FN bool name(half x_) {                         \
    float x = x_;                                     \
    return expression;                                \
  }                                                   \
  MSL_FN bool name(bfloat x_) {                       \
    float x = x_;                                     \
    return expression;                                \
  }                                                   \
  template <typename T, int N>                        \
  MSL_FN bool_vec<N> name(msl_vec<T, N> a) {          \
    bool_vec<N> r;                                    \
    for (int i = 0; i < N; ++i) r[i] = name(T(a[i])); \
    return r;                                         \
  }
MSL_TEST(isnan, __builtin_isnan(x))
MSL_TEST(isinf, __builtin_isinf(x))
MSL_TEST(isfinite, __builtin_isfinite(x))
MSL_TEST(signbit, __builtin_signbit(x))
#undef MSL_TEST
// Of its own type: a number that is normal as a float may be subnormal as a half.
MSL_FN bool isnormal(float x) { return __builtin_isnormal(x); }
MSL_FN bool isnormal(half x) { return __builtin_isfinite(float(x)) && __builtin_fabsf(float(x)) >= 0x1p-14f; }
MSL_FN bool isnormal(bfloat x) { return __builtin_isnormal(float(x)); }
template <typename T, int N>
MSL_FN bool_vec<N> isnormal(msl_vec<T, N> a) {
  bool_vec<N> r;
  for (int i = 0; i < N; ++i) r[i] = isnormal(T(a[i]));
  return r;
}
#define MSL_ORDER(name, expression)                            \
  MSL_FN bool name(float x, float y) { return expression; }    \
  MSL_FN bool name(half x, half y) { return expression; }      \
  MSL_FN bool name(bfloat x, bfloat y) { return expression; }  \
  template <typename T, int N>                                 \
  MSL_FN bool_vec<N> name(msl_vec<T, N> a, msl_vec<T, N> b) {  \
    bool_vec<N> r;                                             \
    for (int i = 0; i < N; ++i) r[i] = name(T(a[i]), T(b[i])); \
    return r;                                                  \
  }
MSL_ORDER(isordered, x == x && y == y)
MSL_ORDER(isunordered, !(x == x && y == y))
#undef MSL_ORDER

template <int N>
MSL_FN bool any(bool_vec<N> a) {
  for (int i = 0; i < N; ++i) {
    if (a[i]) return true;
  }
  return false;
}
template <int N>
MSL_FN bool all(bool_vec<N> a) {
  for (int i = 0; i < N; ++i) {
    if (!a[i]) return false;
  }
  return true;
}
MSL_FN bool any(bool a) { return a; }
MSL_FN bool all(bool a) { return a; }

template <typename T>
MSL_FN constexpr T select(T if_false, T if_true, bool condition) {
  return condition ? if_true : if_false;
}
template <typename T, int N>
MSL_FN msl_vec<T, N> select(msl_vec<T, N> if_false, msl_vec<T, N> if_true, bool_vec<N> condition) {
  for (int i = 0; i < N; ++i) if_false[i] = condition[i] ? if_true[i] : if_false[i];
  return if_false;
}
template <int N>
MSL_FN bool_vec<N> select(bool_vec<N> if_false, bool_vec<N> if_true, bool_vec<N> condition) {
  for (int i = 0; i < N; ++i) if_false[i] = condition[i] ? if_true[i] : if_false[i];
  return if_false;
}
template <typename A, typename B, int N>
MSL_FN msl_mixed_t<A, B> select(A if_false, B if_true, bool_vec<N> condition) {
  using V = msl_mixed_t<A, B>;
  return select(msl_wide<V>(if_false), msl_wide<V>(if_true), condition);
}

}  // namespace metal
