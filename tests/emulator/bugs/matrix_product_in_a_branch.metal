// kind: simd-divergence
// what: a matrix product that half of the lanes skip
// launch: grid 32, threadgroup 32
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void matrix_product_in_a_branch(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                       uint lane [[thread_index_in_simdgroup]]) {
  simdgroup_float8x8 a, b, c = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  simdgroup_load(a, x, 8);
  simdgroup_load(b, x, 8);
#ifdef BUG
  if (lane < 16) simdgroup_multiply_accumulate(c, a, b, c);  // finding
#else
  simdgroup_multiply_accumulate(c, a, b, c);
#endif
  simdgroup_store(c, out, 8);  // finding
}
