// The storage of packed and Boolean vectors: components by name, and several of them together (p.xz, p.zyx).
#pragma once

namespace metal {

// Component I of the N elements that it lies over: p.xy.y.
template <typename T, int N, int I>
struct msl_component {
  T elements[N];
  MSL_FN operator T() const { return elements[I]; }
  MSL_FN operator T() const constant { return elements[I]; }
  MSL_FN T operator=(T v) { return elements[I] = v; }
};
// The components of components I..., by their names.
template <typename T, int N, int... I>
struct msl_components {
  T elements[N];
};
template <typename T, int N, int I, int J>
struct msl_components<T, N, I, J> {
  union {
    T elements[N];
    msl_component<T, N, I> x, r;
    msl_component<T, N, J> y, g;
  };
};
template <typename T, int N, int I, int J, int K>
struct msl_components<T, N, I, J, K> {
  union {
    T elements[N];
    msl_component<T, N, I> x, r;
    msl_component<T, N, J> y, g;
    msl_component<T, N, K> z, b;
  };
};
template <typename T, int N, int I, int J, int K, int L>
struct msl_components<T, N, I, J, K, L> {
  union {
    T elements[N];
    msl_component<T, N, I> x, r;
    msl_component<T, N, J> y, g;
    msl_component<T, N, K> z, b;
    msl_component<T, N, L> w, a;
  };
};

// Components I of the N elements that it lies over.
template <typename T, int N, int... I>
struct msl_swizzle : msl_components<T, N, I...> {
  using vector = T __attribute__((ext_vector_type(sizeof...(I))));
  MSL_FN operator vector() const { return vector{this->elements[I]...}; }
  MSL_FN operator vector() const constant { return vector{this->elements[I]...}; }
  MSL_FN vector operator=(vector v) {
    int at = 0;
    (..., (this->elements[I] = v[at++]));
    return v;
  }
  MSL_FN T operator[](int i) const { return vector(*this)[i]; }
};
// Boolean ones cannot be assigned to as vectors; they are read.
template <int N, int... I>
struct msl_swizzle<bool, N, I...> {
  using vector = bool_vec<sizeof...(I)>;
  bool elements[N];
  MSL_FN operator vector() const { return vector(elements[I]...); }
  MSL_FN bool operator[](int i) const { return vector(*this)[i]; }
};

#define MSL_2(a, b, r, g, i, j) msl_swizzle<T, N, i, j> a##b, r##g;
#define MSL_4(A, B, C, D, R, G, H, Q, i, j, k, l) msl_swizzle<T, N, i, j, k, l> A##B##C##D, R##G##H##Q;
// Each three, and the fours that begin with them, of which a storage has as many as it has components.
#define MSL_3(A, B, C, R, G, H, i, j, k)       \
  msl_swizzle<T, N, i, j, k> A##B##C, R##G##H; \
  MSL_4(A, B, C, x, R, G, H, r, i, j, k, 0)    \
  MSL_4(A, B, C, y, R, G, H, g, i, j, k, 1)    \
  MSL_LAST(A, B, C, R, G, H, i, j, k)
// clang-format off
#define MSL_OF_2 \
  MSL_2(x, x, r, r, 0, 0) MSL_2(x, y, r, g, 0, 1) MSL_2(y, x, g, r, 1, 0) MSL_2(y, y, g, g, 1, 1) \
  MSL_3(x, x, x, r, r, r, 0, 0, 0) MSL_3(x, x, y, r, r, g, 0, 0, 1) MSL_3(x, y, x, r, g, r, 0, 1, 0) \
  MSL_3(x, y, y, r, g, g, 0, 1, 1) MSL_3(y, x, x, g, r, r, 1, 0, 0) MSL_3(y, x, y, g, r, g, 1, 0, 1) \
  MSL_3(y, y, x, g, g, r, 1, 1, 0) MSL_3(y, y, y, g, g, g, 1, 1, 1)
#define MSL_OF_3 \
  MSL_2(x, x, r, r, 0, 0) MSL_2(x, y, r, g, 0, 1) MSL_2(x, z, r, b, 0, 2) MSL_2(y, x, g, r, 1, 0) \
  MSL_2(y, y, g, g, 1, 1) MSL_2(y, z, g, b, 1, 2) MSL_2(z, x, b, r, 2, 0) MSL_2(z, y, b, g, 2, 1) \
  MSL_2(z, z, b, b, 2, 2) \
  MSL_3(x, x, x, r, r, r, 0, 0, 0) MSL_3(x, x, y, r, r, g, 0, 0, 1) MSL_3(x, x, z, r, r, b, 0, 0, 2) \
  MSL_3(x, y, x, r, g, r, 0, 1, 0) MSL_3(x, y, y, r, g, g, 0, 1, 1) MSL_3(x, y, z, r, g, b, 0, 1, 2) \
  MSL_3(x, z, x, r, b, r, 0, 2, 0) MSL_3(x, z, y, r, b, g, 0, 2, 1) MSL_3(x, z, z, r, b, b, 0, 2, 2) \
  MSL_3(y, x, x, g, r, r, 1, 0, 0) MSL_3(y, x, y, g, r, g, 1, 0, 1) MSL_3(y, x, z, g, r, b, 1, 0, 2) \
  MSL_3(y, y, x, g, g, r, 1, 1, 0) MSL_3(y, y, y, g, g, g, 1, 1, 1) MSL_3(y, y, z, g, g, b, 1, 1, 2) \
  MSL_3(y, z, x, g, b, r, 1, 2, 0) MSL_3(y, z, y, g, b, g, 1, 2, 1) MSL_3(y, z, z, g, b, b, 1, 2, 2) \
  MSL_3(z, x, x, b, r, r, 2, 0, 0) MSL_3(z, x, y, b, r, g, 2, 0, 1) MSL_3(z, x, z, b, r, b, 2, 0, 2) \
  MSL_3(z, y, x, b, g, r, 2, 1, 0) MSL_3(z, y, y, b, g, g, 2, 1, 1) MSL_3(z, y, z, b, g, b, 2, 1, 2) \
  MSL_3(z, z, x, b, b, r, 2, 2, 0) MSL_3(z, z, y, b, b, g, 2, 2, 1) MSL_3(z, z, z, b, b, b, 2, 2, 2)
#define MSL_OF_4 \
  MSL_2(x, x, r, r, 0, 0) MSL_2(x, y, r, g, 0, 1) MSL_2(x, z, r, b, 0, 2) MSL_2(x, w, r, a, 0, 3) \
  MSL_2(y, x, g, r, 1, 0) MSL_2(y, y, g, g, 1, 1) MSL_2(y, z, g, b, 1, 2) MSL_2(y, w, g, a, 1, 3) \
  MSL_2(z, x, b, r, 2, 0) MSL_2(z, y, b, g, 2, 1) MSL_2(z, z, b, b, 2, 2) MSL_2(z, w, b, a, 2, 3) \
  MSL_2(w, x, a, r, 3, 0) MSL_2(w, y, a, g, 3, 1) MSL_2(w, z, a, b, 3, 2) MSL_2(w, w, a, a, 3, 3) \
  MSL_3(x, x, x, r, r, r, 0, 0, 0) MSL_3(x, x, y, r, r, g, 0, 0, 1) MSL_3(x, x, z, r, r, b, 0, 0, 2) \
  MSL_3(x, x, w, r, r, a, 0, 0, 3) MSL_3(x, y, x, r, g, r, 0, 1, 0) MSL_3(x, y, y, r, g, g, 0, 1, 1) \
  MSL_3(x, y, z, r, g, b, 0, 1, 2) MSL_3(x, y, w, r, g, a, 0, 1, 3) MSL_3(x, z, x, r, b, r, 0, 2, 0) \
  MSL_3(x, z, y, r, b, g, 0, 2, 1) MSL_3(x, z, z, r, b, b, 0, 2, 2) MSL_3(x, z, w, r, b, a, 0, 2, 3) \
  MSL_3(x, w, x, r, a, r, 0, 3, 0) MSL_3(x, w, y, r, a, g, 0, 3, 1) MSL_3(x, w, z, r, a, b, 0, 3, 2) \
  MSL_3(x, w, w, r, a, a, 0, 3, 3) MSL_3(y, x, x, g, r, r, 1, 0, 0) MSL_3(y, x, y, g, r, g, 1, 0, 1) \
  MSL_3(y, x, z, g, r, b, 1, 0, 2) MSL_3(y, x, w, g, r, a, 1, 0, 3) MSL_3(y, y, x, g, g, r, 1, 1, 0) \
  MSL_3(y, y, y, g, g, g, 1, 1, 1) MSL_3(y, y, z, g, g, b, 1, 1, 2) MSL_3(y, y, w, g, g, a, 1, 1, 3) \
  MSL_3(y, z, x, g, b, r, 1, 2, 0) MSL_3(y, z, y, g, b, g, 1, 2, 1) MSL_3(y, z, z, g, b, b, 1, 2, 2) \
  MSL_3(y, z, w, g, b, a, 1, 2, 3) MSL_3(y, w, x, g, a, r, 1, 3, 0) MSL_3(y, w, y, g, a, g, 1, 3, 1) \
  MSL_3(y, w, z, g, a, b, 1, 3, 2) MSL_3(y, w, w, g, a, a, 1, 3, 3) MSL_3(z, x, x, b, r, r, 2, 0, 0) \
  MSL_3(z, x, y, b, r, g, 2, 0, 1) MSL_3(z, x, z, b, r, b, 2, 0, 2) MSL_3(z, x, w, b, r, a, 2, 0, 3) \
  MSL_3(z, y, x, b, g, r, 2, 1, 0) MSL_3(z, y, y, b, g, g, 2, 1, 1) MSL_3(z, y, z, b, g, b, 2, 1, 2) \
  MSL_3(z, y, w, b, g, a, 2, 1, 3) MSL_3(z, z, x, b, b, r, 2, 2, 0) MSL_3(z, z, y, b, b, g, 2, 2, 1) \
  MSL_3(z, z, z, b, b, b, 2, 2, 2) MSL_3(z, z, w, b, b, a, 2, 2, 3) MSL_3(z, w, x, b, a, r, 2, 3, 0) \
  MSL_3(z, w, y, b, a, g, 2, 3, 1) MSL_3(z, w, z, b, a, b, 2, 3, 2) MSL_3(z, w, w, b, a, a, 2, 3, 3) \
  MSL_3(w, x, x, a, r, r, 3, 0, 0) MSL_3(w, x, y, a, r, g, 3, 0, 1) MSL_3(w, x, z, a, r, b, 3, 0, 2) \
  MSL_3(w, x, w, a, r, a, 3, 0, 3) MSL_3(w, y, x, a, g, r, 3, 1, 0) MSL_3(w, y, y, a, g, g, 3, 1, 1) \
  MSL_3(w, y, z, a, g, b, 3, 1, 2) MSL_3(w, y, w, a, g, a, 3, 1, 3) MSL_3(w, z, x, a, b, r, 3, 2, 0) \
  MSL_3(w, z, y, a, b, g, 3, 2, 1) MSL_3(w, z, z, a, b, b, 3, 2, 2) MSL_3(w, z, w, a, b, a, 3, 2, 3) \
  MSL_3(w, w, x, a, a, r, 3, 3, 0) MSL_3(w, w, y, a, a, g, 3, 3, 1) MSL_3(w, w, z, a, a, b, 3, 3, 2) \
  MSL_3(w, w, w, a, a, a, 3, 3, 3)
// clang-format on

template <typename T, int N>
struct packed_storage;
template <typename T>
struct packed_storage<T, 1> {
  T x;
};
#define MSL_STORAGE(n, xyzw, rgba)       \
  template <typename T>                  \
  struct packed_storage<T, n> {          \
    static constexpr constant int N = n; \
    union {                              \
      struct {                           \
        T xyzw;                          \
      };                                 \
      struct {                           \
        T rgba;                          \
      };                                 \
      MSL_OF_##n                         \
    };                                   \
  };
#define MSL_NAMES(...) __VA_ARGS__
#define MSL_LAST(A, B, C, R, G, H, i, j, k)
MSL_STORAGE(2, MSL_NAMES(x, y), MSL_NAMES(r, g))
#undef MSL_LAST
#define MSL_LAST(A, B, C, R, G, H, i, j, k) MSL_4(A, B, C, z, R, G, H, b, i, j, k, 2)
MSL_STORAGE(3, MSL_NAMES(x, y, z), MSL_NAMES(r, g, b))
#undef MSL_LAST
#define MSL_LAST(A, B, C, R, G, H, i, j, k) \
  MSL_4(A, B, C, z, R, G, H, b, i, j, k, 2) MSL_4(A, B, C, w, R, G, H, a, i, j, k, 3)
MSL_STORAGE(4, MSL_NAMES(x, y, z, w), MSL_NAMES(r, g, b, a))
#undef MSL_LAST
#undef MSL_STORAGE
#undef MSL_NAMES
#undef MSL_2
#undef MSL_3
#undef MSL_4
#undef MSL_OF_2
#undef MSL_OF_3
#undef MSL_OF_4

}  // namespace metal
