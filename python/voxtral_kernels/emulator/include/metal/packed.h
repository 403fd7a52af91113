// packed_float3 and kin: vectors with the alignment of one element.
#pragma once

namespace metal {

template <typename T, int N>
struct packed_vec : packed_storage<T, N> {
  packed_vec() = default;
  constexpr packed_vec(msl_vec<T, N> v) {
    for (int i = 0; i < N; ++i) (*this)[i] = v[i];
  }
  template <typename... A, typename = enable_if_t<(sizeof...(A) > 1)>>
  constexpr packed_vec(A... a) : packed_vec(msl_construct<msl_vec<T, N>>(a...)) {}
  constexpr explicit packed_vec(T v) : packed_vec(msl_vec<T, N>(v)) {}
  MSL_FN __generic T& operator[](int i) { return (&this->x)[i]; }
  MSL_FN const __generic T& operator[](int i) const { return (&this->x)[i]; }
  MSL_FN const constant T& operator[](int i) const constant { return (&this->x)[i]; }
  MSL_FN operator msl_vec<T, N>() const { return load(&this->x); }
  MSL_FN operator msl_vec<T, N>() const constant { return load(&this->x); }

 private:
  template <typename P>
  MSL_FN static msl_vec<T, N> load(P first) {
    msl_vec<T, N> v;
    for (int i = 0; i < N; ++i) v[i] = first[i];
    return v;
  }
};

template <typename T, int N>
struct vec_traits<packed_vec<T, N>> {
  using element = T;
  static constexpr constant int size = N;
};

#define MSL_ARITHMETIC(op)                                                   \
  template <typename T, int N>                                               \
  MSL_FN msl_vec<T, N> operator op(packed_vec<T, N> a, packed_vec<T, N> b) { \
    return msl_vec<T, N>(a) op msl_vec<T, N>(b);                             \
  }                                                                          \
  template <typename T, int N>                                               \
  MSL_FN msl_vec<T, N> operator op(packed_vec<T, N> a, msl_vec<T, N> b) {    \
    return msl_vec<T, N>(a) op b;                                            \
  }                                                                          \
  template <typename T, int N>                                               \
  MSL_FN msl_vec<T, N> operator op(msl_vec<T, N> a, packed_vec<T, N> b) {    \
    return a op msl_vec<T, N>(b);                                            \
  }                                                                          \
  template <typename T, int N>                                               \
  MSL_FN msl_vec<T, N> operator op(packed_vec<T, N> a, T b) {                \
    return msl_vec<T, N>(a) op b;                                            \
  }                                                                          \
  template <typename T, int N>                                               \
  MSL_FN msl_vec<T, N> operator op(T a, packed_vec<T, N> b) {                \
    return a op msl_vec<T, N>(b);                                            \
  }
MSL_ARITHMETIC(+)
MSL_ARITHMETIC(-)
MSL_ARITHMETIC(*)
MSL_ARITHMETIC(/)
#undef MSL_ARITHMETIC

}  // namespace metal

#define MSL_PACKED(T)                            \
  typedef metal::packed_vec<T, 2> packed_##T##2; \
  typedef metal::packed_vec<T, 3> packed_##T##3; \
  typedef metal::packed_vec<T, 4> packed_##T##4;
MSL_PACKED(char)
MSL_PACKED(uchar)
MSL_PACKED(short)
MSL_PACKED(ushort)
MSL_PACKED(int)
MSL_PACKED(uint)
MSL_PACKED(long)
MSL_PACKED(ulong)
MSL_PACKED(half)
MSL_PACKED(float)
MSL_PACKED(bfloat)
#undef MSL_PACKED
