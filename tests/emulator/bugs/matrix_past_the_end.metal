// kind: out-of-bounds
// what: simdgroup_store writes an 8x8 tile into seven rows
// launch: grid 32, threadgroup 32
// buffer 0: out float[56]

kernel void matrix_past_the_end(device float* out [[buffer(0)]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float tile[64];
  simdgroup_float8x8 m = make_filled_simdgroup_matrix<float, 8, 8>(1.0f);
#ifdef BUG
  simdgroup_store(m, out, 8);  // finding
#else
  simdgroup_store(m, tile, 8);
  simdgroup_barrier(mem_flags::mem_threadgroup);
  for (uint j = lane; j < 56; j += 32) out[j] = tile[j];
#endif
}
