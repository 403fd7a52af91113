// metal_matrix: float4x4 and kin, columns first.
#pragma once

namespace metal {

template <typename T, int Cols, int Rows>
struct matrix {
  msl_vec<T, Rows> columns[Cols];
  matrix() = default;
  explicit matrix(T diagonal) {
    for (int c = 0; c < Cols; ++c) {
      for (int r = 0; r < Rows; ++r) columns[c][r] = c == r ? diagonal : T(0);
    }
  }
  template <typename... V, typename = enable_if_t<sizeof...(V) == Cols && (Cols > 1)>>
  matrix(V... given) : columns{given...} {}
  MSL_FN __generic msl_vec<T, Rows>& operator[](int c) { return columns[c]; }
  MSL_FN const __generic msl_vec<T, Rows>& operator[](int c) const { return columns[c]; }
  MSL_FN const constant msl_vec<T, Rows>& operator[](int c) const constant { return columns[c]; }
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
template <typename T, int Cols, int Rows>
MSL_FN matrix<T, Cols, Rows> operator+(matrix<T, Cols, Rows> a, matrix<T, Cols, Rows> b) {
  for (int c = 0; c < Cols; ++c) a.columns[c] += b.columns[c];
  return a;
}
template <typename T, int Cols, int Rows>
MSL_FN matrix<T, Rows, Cols> transpose(matrix<T, Cols, Rows> m) {
  matrix<T, Rows, Cols> r;
  for (int c = 0; c < Cols; ++c) {
    for (int row = 0; row < Rows; ++row) r.columns[row][c] = m.columns[c][row];
  }
  return r;
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
  MSL_FN __generic T& operator[](size_t i) { return elements[i]; }
  MSL_FN const __generic T& operator[](size_t i) const { return elements[i]; }
  MSL_FN const constant T& operator[](size_t i) const constant { return elements[i]; }
  static constexpr size_t size() { return N; }
};

}  // namespace metal
