// Comparisons that may be of vectors. The translator writes `a < msl_rhs() << b` for `a < b`.
#pragma once

namespace metal {

struct msl_rhs {};
// The right operand of such a comparison.
template <typename B>
struct msl_operand {
  B value;
};

// An object of a class stays what it is: its own operators serve it.
template <typename B,
          typename = enable_if_t<__is_class(__remove_reference_t(B)) || __is_union(__remove_reference_t(B))>>
MSL_FN constexpr B&& operator<<(msl_rhs, B&& b) {
  return static_cast<B&&>(b);
}
template <typename B, typename = enable_if_t<!__is_class(B) && !__is_union(B)>, typename = void>
MSL_FN constexpr msl_operand<B> operator<<(msl_rhs, B b) {
  return {b};
}
// `a < b << 2` and `a < b >> 2`.
template <typename B, typename C>
MSL_FN constexpr auto operator<<(msl_operand<B> b, C c) {
  return msl_operand<decltype(b.value << c)>{b.value << c};
}
template <typename B, typename C>
MSL_FN constexpr auto operator>>(msl_operand<B> b, C c) {
  return msl_operand<decltype(b.value >> c)>{b.value >> c};
}

// A scalar beside a vector takes the vector's element type.
template <typename V, typename A>
MSL_FN constexpr auto msl_beside(A a) {
  if constexpr (vec_traits<V>::size > 1 && vec_traits<A>::size == 1) {
    return V(static_cast<typename vec_traits<V>::element>(a));
  } else {
    return a;
  }
}

#define MSL_COMPARE(name, op)                                                                                     \
  template <typename A, typename B>                                                                               \
  MSL_FN constexpr auto name(A a, B b) {                                                                          \
    constexpr int size = vec_traits<A>::size > 1 ? vec_traits<A>::size : vec_traits<B>::size;                     \
    if constexpr (size > 1) {                                                                                     \
      return msl_mask<size>(msl_beside<B>(a) op msl_beside<A>(b));                                                \
    } else if constexpr (__is_pointer(A) && __is_integral(B)) {                                                   \
      return a op nullptr; /* a literal 0 */                                                                      \
    } else {                                                                                                      \
      return a op b;                                                                                              \
    }                                                                                                             \
  }                                                                                                               \
  template <typename A, typename B, typename = enable_if_t<!__is_class(A) && !__is_union(A)>>                     \
  MSL_FN constexpr auto operator op(A a, msl_operand<B> b) {                                                      \
    return name(a, b.value);                                                                                      \
  }                                                                                                               \
  template <typename A, typename B>                                                                               \
  MSL_FN constexpr auto operator op(msl_operand<A> a, msl_operand<B> b) {                                         \
    return name(a.value, b.value);                                                                                \
  }                                                                                                               \
  template <typename A, typename B, typename = enable_if_t<__is_class(__remove_reference_t(A))>, typename = void> \
  MSL_FN constexpr auto operator op(A&& a, msl_operand<B> b) {                                                    \
    return static_cast<A&&>(a) op b.value;                                                                        \
  }
MSL_COMPARE(msl_less, <)
MSL_COMPARE(msl_greater, >)
MSL_COMPARE(msl_at_most, <=)
MSL_COMPARE(msl_at_least, >=)
MSL_COMPARE(msl_equal, ==)
MSL_COMPARE(msl_unequal, !=)
#undef MSL_COMPARE

// A scalar beside a vector of a narrower type: the compiler driver writes `a * msl_mark() * b` for `a * b` where clang
// refuses it (toolchain/repairs.py).
struct msl_mark {};
template <typename A>
struct msl_left {
  A value;
};
template <typename B>
struct msl_right {
  B value;
};
template <typename B>
MSL_FN constexpr msl_right<B> msl_compound(B b) {
  return {b};
}
#define MSL_ASSIGNED(op, space)                                                           \
  template <typename T, int N, typename B>                                                \
  MSL_FN space msl_vec<T, N>& operator op## = (space msl_vec<T, N> & a, msl_right<B> b) { \
    a = a op msl_beside<msl_vec<T, N>>(b.value);                                          \
    return a;                                                                             \
  }
#define MSL_MARKED(op)                                      \
  template <typename A>                                     \
  MSL_FN constexpr msl_left<A> operator op(A a, msl_mark) { \
    return {a};                                             \
  }                                                         \
  template <typename A, typename B>                         \
  MSL_FN constexpr auto operator op(msl_left<A> a, B b) {   \
    return msl_beside<B>(a.value) op msl_beside<A>(b);      \
  }                                                         \
  MSL_ASSIGNED(op, thread)                                  \
  MSL_ASSIGNED(op, device)                                  \
  MSL_ASSIGNED(op, threadgroup)
MSL_MARKED(*)
MSL_MARKED(/)
MSL_MARKED(+)
MSL_MARKED(-)
MSL_MARKED(%)
#undef MSL_MARKED
#undef MSL_ASSIGNED

// `c ? a : b` of structures in different address spaces, likewise.
template <typename A>
MSL_FN constexpr A msl_either(A a) {
  return a;
}

}  // namespace metal
