// kind: uninitialised-read
// what: a reduction reads 32 partial sums where only two simdgroups wrote one
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[1]

kernel void partial_sums_of_absent_simdgroups(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                              uint i [[thread_position_in_grid]],
                                              uint t [[thread_index_in_threadgroup]],
                                              uint lane [[thread_index_in_simdgroup]],
                                              uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup float partial[32];
  float sum = simd_sum(x[i]);
  if (lane == 0) partial[simd] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
#ifdef BUG
  sum = simd_sum(partial[lane]);  // finding
#else
  sum = simd_sum(lane < 2 ? partial[lane] : 0);
#endif
  if (t == 0) out[0] = sum;
}
