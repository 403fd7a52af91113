// metal_simdgroup_matrix: 8x8 matrices spread over the lanes of a simdgroup, two elements of one row a lane.
#pragma once

namespace metal {

template <typename T, int Rows, int Cols>
struct simdgroup_matrix {
  static_assert(Rows == 8 && Cols == 8, "simdgroup_matrix is 8x8");
  static_assert(msl_is_floating<T>, "simdgroup_matrix holds half, bfloat or float");
  vec<T, 2> elements;
  simdgroup_matrix() = default;
  // A diagonal matrix, as in Metal.
  explicit simdgroup_matrix(T diagonal);
  MSL_FN thread vec<T, 2>& thread_elements() thread { return elements; }
  MSL_FN const thread vec<T, 2>& thread_elements() const thread { return elements; }
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;

// Row and first column of what a lane holds. Apple documents no layout; this is the one that MLX's kernels rely on.
struct msl_place {
  uint row, column;
};
MSL_FN msl_place msl_matrix_place(uint lane) {
  uint quad = lane / 4;
  return msl_place{(quad & 4) + lane / 2 % 4, (quad & 2) * 2 + lane % 2 * 2};
}

template <typename T, int Rows, int Cols>
MSL_FN simdgroup_matrix<T, Rows, Cols>::simdgroup_matrix(T diagonal) {
  msl_place at = msl_matrix_place(msl_lane_index());
  elements = vec<T, 2>{at.row == at.column ? diagonal : T(0), at.row == at.column + 1 ? diagonal : T(0)};
}

template <typename T, int Rows, int Cols = Rows>
MSL_FN simdgroup_matrix<T, Rows, Cols> make_filled_simdgroup_matrix(T value) {
  simdgroup_matrix<T, Rows, Cols> m;
  m.elements = vec<T, 2>(value);
  return m;
}
template <typename T, int Rows, int Cols = Rows>
MSL_FN simdgroup_matrix<T, Rows, Cols> make_diagonal_simdgroup_matrix(T value) {
  return simdgroup_matrix<T, Rows, Cols>(value);
}

// All lanes must take part: the checked modes rendezvous, plain mode trusts.
MSL_FN void msl_all_lanes(unsigned operation) {
#ifdef MSL_CHECKED
  msl_rendezvous(0, 0, 0, operation);
#endif
}

template <typename T>
struct msl_pair {
  typedef T type __attribute__((ext_vector_type(2), aligned(sizeof(T))));
};

#define MSL_MATRIX_ACCESS(space)                                                                                     \
  template <typename T>                                                                                              \
  MSL_FN void simdgroup_load(thread simdgroup_matrix<T, 8, 8>& m, const space T* source, ulong elements_per_row = 8, \
                             ulong2 origin = ulong2(0), bool transposed = false) {                                   \
    msl_all_lanes(MSL_OP_simdgroup_load);                                                                            \
    msl_place at = msl_matrix_place(msl_lane_index());                                                               \
    source += origin.y * elements_per_row + origin.x;                                                                \
    if (transposed) {                                                                                                \
      m.elements.x = source[at.column * elements_per_row + at.row];                                                  \
      m.elements.y = source[(at.column + 1) * elements_per_row + at.row];                                            \
    } else {                                                                                                         \
      using pair = typename msl_pair<T>::type;                                                                       \
      m.elements = *(const space pair*)(source + at.row * elements_per_row + at.column);                             \
    }                                                                                                                \
  }
#define MSL_MATRIX_STORE(space)                                                                         \
  template <typename T>                                                                                 \
  MSL_FN void simdgroup_store(simdgroup_matrix<T, 8, 8> m, space T* target, ulong elements_per_row = 8, \
                              ulong2 origin = ulong2(0), bool transposed = false) {                     \
    msl_all_lanes(MSL_OP_simdgroup_store);                                                              \
    msl_place at = msl_matrix_place(msl_lane_index());                                                  \
    target += origin.y * elements_per_row + origin.x;                                                   \
    if (transposed) {                                                                                   \
      target[at.column * elements_per_row + at.row] = m.elements.x;                                     \
      target[(at.column + 1) * elements_per_row + at.row] = m.elements.y;                               \
    } else {                                                                                            \
      using pair = typename msl_pair<T>::type;                                                          \
      *(space pair*)(target + at.row * elements_per_row + at.column) = m.elements;                      \
    }                                                                                                   \
  }
MSL_MATRIX_ACCESS(device)
MSL_MATRIX_ACCESS(constant)
MSL_MATRIX_ACCESS(threadgroup)
MSL_MATRIX_STORE(device)
MSL_MATRIX_STORE(threadgroup)
#undef MSL_MATRIX_ACCESS
#undef MSL_MATRIX_STORE

template <typename A, typename B, typename C>
struct msl_operands {
  vec<A, 2> a;
  vec<B, 2> b;
  vec<C, 2> c;
};

// d = a * b + c in float; what a lane that did not take part holds is NaN.
template <typename D, typename A, typename B, typename C>
MSL_HIDDEN void msl_multiply_group(const __generic msl_group* group) {
  typedef float row_t __attribute__((ext_vector_type(8)));
  float a[8][8];
  row_t b[8], d[8];
  for (uint lane = 0; lane < 32; ++lane) {
    msl_place at = msl_matrix_place(lane);
    bool present = group->mask >> lane & 1;
    auto in = (const __generic msl_operands<A, B, C>*)(present ? group->in[lane] : 0);
    for (uint j = 0; j < 2; ++j) {
      a[at.row][at.column + j] = present ? float(in->a[j]) : __builtin_nanf("");
      b[at.row][at.column + j] = present ? float(in->b[j]) : __builtin_nanf("");
      d[at.row][at.column + j] = present ? float(in->c[j]) : __builtin_nanf("");
    }
  }
  for (uint i = 0; i < 8; ++i) {
    for (uint k = 0; k < 8; ++k) d[i] += a[i][k] * b[k];
  }
  for (uint lane = 0; lane < 32; ++lane) {
    if (!(group->mask >> lane & 1)) continue;
    msl_place at = msl_matrix_place(lane);
    *(__generic vec<D, 2>*)group->out[lane] = vec<D, 2>{D(d[at.row][at.column]), D(d[at.row][at.column + 1])};
  }
}

template <typename D, typename A, typename B, typename C>
MSL_FN void simdgroup_multiply_accumulate(thread simdgroup_matrix<D, 8, 8>& d, simdgroup_matrix<A, 8, 8> a,
                                          simdgroup_matrix<B, 8, 8> b, simdgroup_matrix<C, 8, 8> c) {
  msl_operands<A, B, C> operands{a.elements, b.elements, c.elements};
  vec<D, 2> result;
  const unsigned operation = MSL_OP_simdgroup_multiply_accumulate;
  if (const __generic msl_group* group = msl_rendezvous(&operands, &result, 0, operation)) {
    msl_multiply_group<D, A, B, C>(group);
  }
  d.elements = result;
}
template <typename D, typename A, typename B>
MSL_FN void simdgroup_multiply(thread simdgroup_matrix<D, 8, 8>& d, simdgroup_matrix<A, 8, 8> a,
                               simdgroup_matrix<B, 8, 8> b) {
  simdgroup_multiply_accumulate(d, a, b, make_filled_simdgroup_matrix<D, 8, 8>(D(0)));
}
template <typename A, typename B>
MSL_FN simdgroup_matrix<A, 8, 8> operator*(simdgroup_matrix<A, 8, 8> a, simdgroup_matrix<B, 8, 8> b) {
  simdgroup_matrix<A, 8, 8> d;
  simdgroup_multiply(d, a, b);
  return d;
}

}  // namespace metal
