// metal_types: vectors, their construction and conversion, as_type.
#pragma once

namespace metal {

// What clang calls a vector; template arguments are deduced from it.
template <typename T, int N>
using msl_vec = T __attribute__((ext_vector_type(N)));

template <int N>
struct bool_vec;
}  // namespace metal
#include "metal/swizzle.h"

namespace metal {

// bool2 .. bool4: clang has no such vectors in this dialect. Sizes and alignments: table 2.3.
template <int N>
struct alignas(N == 3 ? 4 : N) bool_vec : packed_storage<bool, N> {
  bool_vec() = default;
  bool_vec(const bool_vec&) = default;
  bool_vec(const constant bool_vec&) = default;
  constexpr bool_vec(bool b) {
    for (int i = 0; i < N; ++i) (*this)[i] = b;
  }
  template <typename... B, typename = enable_if_t<sizeof...(B) == N && (N > 1)>>
  constexpr bool_vec(B... b) {
    int i = 0;
    (..., ((*this)[i++] = b));
  }
  constexpr __generic bool& operator[](int i) { return (&this->x)[i]; }
  constexpr const __generic bool& operator[](int i) const { return (&this->x)[i]; }
  constexpr const constant bool& operator[](int i) const constant { return (&this->x)[i]; }
};
// From what clang's comparison of vectors gives.
template <int N, typename M>
MSL_FN constexpr bool_vec<N> msl_mask(M mask) {
  bool_vec<N> r;
  for (int i = 0; i < N; ++i) r[i] = mask[i] != 0;
  return r;
}
#define MSL_LOGICAL(op)                                          \
  template <int N>                                               \
  MSL_FN bool_vec<N> operator op(bool_vec<N> a, bool_vec<N> b) { \
    for (int i = 0; i < N; ++i) a[i] = a[i] op b[i];             \
    return a;                                                    \
  }
MSL_LOGICAL(&&)
MSL_LOGICAL(||)
MSL_LOGICAL(&)
MSL_LOGICAL(|)
MSL_LOGICAL(^)
MSL_LOGICAL(==)
MSL_LOGICAL(!=)
#undef MSL_LOGICAL
template <int N>
MSL_FN bool_vec<N> operator!(bool_vec<N> a) {
  for (int i = 0; i < N; ++i) a[i] = !a[i];
  return a;
}

template <typename T, int N>
using vec = msl_vec<T, N>;
// What the translator writes for a name of vec<T, N>, where nothing is deduced: T may be bool there.
template <typename T, int N>
struct msl_vec_of {
  using type = msl_vec<T, N>;
};
template <int N>
struct msl_vec_of<bool, N> {
  using type = bool_vec<N>;
};

// Element type and count of a scalar (count 1) or vector.
template <typename T>
struct vec_traits {
  using element = T;
  static constexpr constant int size = 1;
};
template <typename T, int N>
struct vec_traits<msl_vec<T, N>> {
  using element = T;
  static constexpr constant int size = N;
};

template <int N>
struct vec_traits<bool_vec<N>> {
  using element = bool;
  static constexpr constant int size = N;
};
// How many elements a vector has; 0 for what is none.
template <typename T>
struct vec_elements : integral_constant<uint, (vec_traits<T>::size > 1 ? vec_traits<T>::size : 0)> {};

// Scalars, vectors and packed vectors.
template <typename T>
constexpr bool msl_has_bits() {
  return vec_traits<T>::size > 1 || !(__is_class(T) || __is_union(T) || __is_array(T));
}

template <typename T, int N, int... I>
struct vec_traits<msl_swizzle<T, N, I...>> {
  using element = T;
  static constexpr constant int size = sizeof...(I);
};

template <typename V, typename A>
MSL_FN constexpr void msl_append(thread V& v, thread int& at, A a) {
  using element = typename vec_traits<V>::element;
  if constexpr (vec_traits<A>::size == 1) {
    v[at++] = static_cast<element>(a);
  } else {
    for (int i = 0; i < vec_traits<A>::size; ++i) v[at++] = static_cast<element>(a[i]);
  }
}

// float4(...) and vec<T, 4>(...): the translator spells every vector construction as this call.
template <typename V, typename... A>
MSL_FN constexpr V msl_construct(A... a) {
  using element = typename vec_traits<V>::element;
  constexpr int given = (0 + ... + vec_traits<A>::size);
  static_assert(given == 0 || (given == 1 && sizeof...(A) == 1) || given == vec_traits<V>::size,
                "a vector is built from one scalar, or from as many components as it has");
  static_assert(
      sizeof...(A) == 1 || ((vec_traits<A>::size == 1 || __is_same(typename vec_traits<A>::element, element)) && ...),
      "the vectors among the parts of a vector have its own element type");
  V v(element(0));
  int at = 0;
  if constexpr (given == 1 && vec_traits<V>::size > 1) {
    (..., (v = V(static_cast<element>(a))));
  } else {
    (..., msl_append(v, at, a));
  }
  return v;
}

#define MSL_VECTORS(T)    \
  typedef vec<T, 2> T##2; \
  typedef vec<T, 3> T##3; \
  typedef vec<T, 4> T##4;
MSL_VECTORS(char)
MSL_VECTORS(uchar)
MSL_VECTORS(short)
MSL_VECTORS(ushort)
MSL_VECTORS(int)
MSL_VECTORS(uint)
MSL_VECTORS(long)
MSL_VECTORS(ulong)
MSL_VECTORS(half)
MSL_VECTORS(float)
MSL_VECTORS(bfloat)
#undef MSL_VECTORS
typedef bool_vec<2> bool2;
typedef bool_vec<3> bool3;
typedef bool_vec<4> bool4;

}  // namespace metal

// The vector names stand in the global namespace too, as in Metal's own headers.
#define MSL_GLOBAL(T) \
  using metal::T##2;  \
  using metal::T##3;  \
  using metal::T##4;
MSL_GLOBAL(char)
MSL_GLOBAL(uchar)
MSL_GLOBAL(short)
MSL_GLOBAL(ushort)
MSL_GLOBAL(int)
MSL_GLOBAL(uint)
MSL_GLOBAL(long)
MSL_GLOBAL(ulong)
MSL_GLOBAL(half)
MSL_GLOBAL(float)
MSL_GLOBAL(bfloat)
MSL_GLOBAL(bool)
#undef MSL_GLOBAL

template <typename To, typename From>
MSL_FN constexpr To as_type(From x) {
  static_assert(metal::msl_has_bits<To>() && metal::msl_has_bits<From>(),
                "as_type takes and gives scalars and vectors, no structures");
  return __builtin_bit_cast(To, x);
}

namespace metal {
using ::as_type;
using ::bfloat;
using ::int16_t;
using ::int32_t;
using ::int64_t;
using ::int8_t;
using ::ptrdiff_t;
using ::size_t;
using ::uchar;
using ::uint;
using ::uint16_t;
using ::uint32_t;
using ::uint64_t;
using ::uint8_t;
using ::uintptr_t;
using ::ulong;
using ::ushort;

// Bytes of a threadgroup variable that the race checks take as one: of a structure each byte, for its members differ.
template <typename T>
constexpr unsigned long msl_granule() {
  if constexpr (__is_array(T))
    return msl_granule<__remove_extent(T)>();
  else
    return __is_class(T) || __is_union(T) ? 1 : alignof(T);
}

// Whether a variable of this type may be in threadgroup memory: the default constructor of matrices does not reach there.
template <typename T>
struct msl_fits_threadgroup : true_type {};
template <typename T, size_t N>
struct msl_fits_threadgroup<T[N]> : msl_fits_threadgroup<T> {};

// static_cast<To>(x): clang has none between half and bfloat.
template <typename To, typename From>
MSL_FN constexpr To msl_cast(From x) {
  if constexpr (__is_same(To, bfloat) && __is_same(From, half)) {
    return bfloat(float(x));
  } else if constexpr (__is_same(To, half) && __is_same(From, bfloat)) {
    return half(float(x));
  } else if constexpr (vec_traits<To>::size > 1) {
    return msl_construct<To>(x);
  } else {
    return static_cast<To>(x);
  }
}
// T(x, y) where T may be a vector.
template <typename T, typename... A>
MSL_FN constexpr T msl_make(A... a) {
  if constexpr (vec_traits<T>::size > 1) {
    return msl_construct<T>(a...);
  } else if constexpr (sizeof...(A) == 1) {
    return msl_cast<T>(a...);
  } else {
    return T(a...);
  }
}

// float4{a, b}: what is not given is zero.
template <typename V, typename... A>
MSL_FN constexpr V msl_braced(A... a) {
  static_assert((0 + ... + vec_traits<A>::size) <= vec_traits<V>::size, "more components than the vector has");
  V v = typename vec_traits<V>::element(0);
  int at = 0;
  (..., msl_append(v, at, a));
  return v;
}

// (float4)x and (T)x, which the translator spells msl_caster<float4>() ->* x: the operator binds like a cast.
template <typename V>
struct msl_caster {};
template <typename V, typename A>
MSL_FN constexpr V operator->*(msl_caster<V>, A a) {
  return msl_make<V>(a);
}

// metal_uniform: a promise that all lanes have the same value.
template <typename T>
using uniform = T;
template <typename T>
MSL_FN constexpr T make_uniform(T value) {
  return value;
}

}  // namespace metal

// Several components of a packed vector beside a scalar; beside a vector they convert.
#define MSL_ARITHMETIC(op)                                                                                     \
  template <typename T, int N, int... I, typename S, typename = metal::enable_if_t<metal::is_arithmetic_v<S>>> \
  MSL_FN auto operator op(metal::msl_swizzle<T, N, I...> a, S s) {                                             \
    return metal::msl_vec<T, sizeof...(I)>(a) op T(s);                                                         \
  }                                                                                                            \
  template <typename T, int N, int... I, typename S, typename = metal::enable_if_t<metal::is_arithmetic_v<S>>> \
  MSL_FN auto operator op(S s, metal::msl_swizzle<T, N, I...> a) {                                             \
    return T(s) op metal::msl_vec<T, sizeof...(I)>(a);                                                         \
  }
namespace metal {
MSL_ARITHMETIC(+)
MSL_ARITHMETIC(-)
MSL_ARITHMETIC(*)
MSL_ARITHMETIC(/)
}  // namespace metal
#undef MSL_ARITHMETIC
