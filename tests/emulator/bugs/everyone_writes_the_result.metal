// kind: race
// what: every lane writes the sum where one should
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[1]

kernel void everyone_writes_the_result(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                       uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]],
                                       uint lane [[thread_index_in_simdgroup]],
                                       uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup float partial[2];
  const float sum = simd_sum(x[i]);
  if (lane == 0) partial[simd] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
#ifdef BUG
  out[0] = partial[simd];  // finding
#else
  if (t == 0) out[0] = partial[0] + partial[1];
#endif
}
