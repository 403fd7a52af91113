// metal_matrix: float4x4 and kin, columns first.
#pragma once

namespace metal {

template <typename T, int Cols, int Rows>
struct matrix {
  using column = msl_vec<T, Rows>;
  column columns[Cols];
  matrix() = default;
  matrix(const matrix&) = default;
  matrix(const constant matrix&) = default;
  // A diagonal matrix; the columns; all elements, column by column.
  explicit matrix(T diagonal) {
    for (int c = 0; c < Cols; ++c) {
      for (int r = 0; r < Rows; ++r) columns[c][r] = c == r ? diagonal : T(0);
    }
  }
  template <typename... V,
            typename = enable_if_t<sizeof...(V) == Cols && (true && ... && (vec_traits<V>::size == Rows))>>
  matrix(V... given) : columns{given...} {}
  template <typename... V, typename = enable_if_t<sizeof...(V) == Cols * Rows && (true && ... && is_arithmetic_v<V>)>,
            typename = void>
  matrix(V... given) {
    T elements[] = {static_cast<T>(given)...};
    for (int i = 0; i < Cols * Rows; ++i) columns[i / Rows][i % Rows] = elements[i];
  }
  // Of another element type.
  template <typename U, typename = enable_if_t<!__is_same(U, T)>>
  explicit matrix(matrix<U, Cols, Rows> other) {
    for (int c = 0; c < Cols; ++c) columns[c] = msl_construct<column>(other.columns[c]);
  }
  MSL_FN thread column& operator[](int c) thread { return columns[c]; }
  MSL_FN __generic column& operator[](int c) { return columns[c]; }
  MSL_FN const __generic column& operator[](int c) const { return columns[c]; }
  MSL_FN const constant column& operator[](int c) const constant { return columns[c]; }
};

template <typename T, int Cols, int Rows>
struct msl_fits_threadgroup<matrix<T, Cols, Rows>> : false_type {};

template <typename T, int Cols, int Rows>
MSL_FN msl_vec<T, Rows> operator*(matrix<T, Cols, Rows> m, msl_vec<T, Cols> v) {
  msl_vec<T, Rows> sum = T(0);
  for (int c = 0; c < Cols; ++c) sum += m.columns[c] * v[c];
  return sum;
}
template <typename T, int Cols, int Rows>
MSL_FN msl_vec<T, Cols> operator*(msl_vec<T, Rows> v, matrix<T, Cols, Rows> m) {
  msl_vec<T, Cols> r;
  for (int c = 0; c < Cols; ++c) r[c] = dot(v, m.columns[c]);
  return r;
}
template <typename T, int Inner, int Rows, int Cols>
MSL_FN matrix<T, Cols, Rows> operator*(matrix<T, Inner, Rows> a, matrix<T, Cols, Inner> b) {
  matrix<T, Cols, Rows> r;
  for (int c = 0; c < Cols; ++c) r.columns[c] = a * b.columns[c];
  return r;
}
#define MSL_ELEMENTWISE(op)                                                                    \
  template <typename T, int Cols, int Rows>                                                    \
  MSL_FN matrix<T, Cols, Rows> operator op(matrix<T, Cols, Rows> a, matrix<T, Cols, Rows> b) { \
    for (int c = 0; c < Cols; ++c) a.columns[c] = a.columns[c] op b.columns[c];                \
    return a;                                                                                  \
  }
MSL_ELEMENTWISE(+)
MSL_ELEMENTWISE(-)
#undef MSL_ELEMENTWISE
template <typename T, int Cols, int Rows>
MSL_FN matrix<T, Cols, Rows> operator-(matrix<T, Cols, Rows> a) {
  for (int c = 0; c < Cols; ++c) a.columns[c] = -a.columns[c];
  return a;
}
#define MSL_SCALED(op)                                                                              \
  template <typename T, int Cols, int Rows, typename S, typename = enable_if_t<is_arithmetic_v<S>>> \
  MSL_FN matrix<T, Cols, Rows> operator op(matrix<T, Cols, Rows> a, S s) {                          \
    for (int c = 0; c < Cols; ++c) a.columns[c] = a.columns[c] op static_cast<T>(s);                \
    return a;                                                                                       \
  }
MSL_SCALED(*)
MSL_SCALED(/)
#undef MSL_SCALED
template <typename T, int Cols, int Rows, typename S, typename = enable_if_t<is_arithmetic_v<S>>>
MSL_FN matrix<T, Cols, Rows> operator*(S s, matrix<T, Cols, Rows> a) {
  return a * s;
}
#define MSL_ASSIGNED(op, space)                                                                \
  template <typename T, int Cols, int Rows, typename B>                                        \
  MSL_FN space matrix<T, Cols, Rows>& operator op## = (space matrix<T, Cols, Rows> & a, B b) { \
    a = a op b;                                                                                \
    return a;                                                                                  \
  }
#define MSL_ASSIGNMENTS(space) \
  MSL_ASSIGNED(+, space)       \
  MSL_ASSIGNED(-, space)       \
  MSL_ASSIGNED(*, space)       \
  MSL_ASSIGNED(/, space)
MSL_ASSIGNMENTS(thread)
MSL_ASSIGNMENTS(device)
MSL_ASSIGNMENTS(threadgroup)
#undef MSL_ASSIGNMENTS
#undef MSL_ASSIGNED
#define MSL_SAME(op, joined, start)                                                    \
  template <typename T, int Cols, int Rows>                                            \
  MSL_FN bool operator op(matrix<T, Cols, Rows> a, matrix<T, Cols, Rows> b) {          \
    bool r = start;                                                                    \
    for (int c = 0; c < Cols; ++c) {                                                   \
      for (int i = 0; i < Rows; ++i) r = r joined(a.columns[c][i] op b.columns[c][i]); \
    }                                                                                  \
    return r;                                                                          \
  }
MSL_SAME(==, &&, true)
MSL_SAME(!=, ||, false)
#undef MSL_SAME

template <typename T, int Cols, int Rows>
MSL_FN matrix<T, Rows, Cols> transpose(matrix<T, Cols, Rows> m) {
  matrix<T, Rows, Cols> r;
  for (int c = 0; c < Cols; ++c) {
    for (int row = 0; row < Rows; ++row) r.columns[row][c] = m.columns[c][row];
  }
  return r;
}
// In float, by cofactors of the first column.
template <typename T, int N>
MSL_FN T determinant(matrix<T, N, N> m) {
  float sum = 0;
  if constexpr (N == 2) {
    sum = float(m.columns[0][0]) * float(m.columns[1][1]) - float(m.columns[1][0]) * float(m.columns[0][1]);
  } else {
    for (int i = 0; i < N; ++i) {
      matrix<float, N - 1, N - 1> minor;
      for (int c = 1; c < N; ++c) {
        for (int r = 0, at = 0; r < N; ++r) {
          if (r != i) minor.columns[c - 1][at++] = float(m.columns[c][r]);
        }
      }
      float term = float(m.columns[0][i]) * determinant(minor);
      sum += i % 2 ? -term : term;
    }
  }
  return T(sum);
}

#define MSL_MATRICES(T)           \
  typedef matrix<T, 2, 2> T##2x2; \
  typedef matrix<T, 2, 3> T##2x3; \
  typedef matrix<T, 2, 4> T##2x4; \
  typedef matrix<T, 3, 2> T##3x2; \
  typedef matrix<T, 3, 3> T##3x3; \
  typedef matrix<T, 3, 4> T##3x4; \
  typedef matrix<T, 4, 2> T##4x2; \
  typedef matrix<T, 4, 3> T##4x3; \
  typedef matrix<T, 4, 4> T##4x4;
MSL_MATRICES(float)
MSL_MATRICES(half)
#undef MSL_MATRICES

// metal_array
template <typename T, size_t N>
struct array {
  T elements[N];
  array() = default;
  array(const array&) = default;
  array(const constant array&) = default;
  MSL_ASSIGNED_FROM_CONSTANT(array)
  MSL_FN __generic T& operator[](size_t i) { return elements[i]; }
  MSL_FN const __generic T& operator[](size_t i) const { return elements[i]; }
  MSL_FN const constant T& operator[](size_t i) const constant { return elements[i]; }
  MSL_FN __generic T* data() { return elements; }
  MSL_FN const __generic T* data() const { return elements; }
  MSL_FN const constant T* data() const constant { return elements; }
  static constexpr size_t size() { return N; }
};

}  // namespace metal
