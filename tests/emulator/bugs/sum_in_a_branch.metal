// kind: simd-divergence
// what: half of the lanes take a branch with simd_sum, and meet the others at the next operation
// launch: grid 32, threadgroup 32
// buffer 0: in float[64]
// buffer 1: out float[32]

kernel void sum_in_a_branch(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                            uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
  float sum = x[i];
#ifdef BUG
  if (lane < 16) sum = simd_sum(sum);  // finding
#else
  sum = simd_sum(lane < 16 ? sum : 0);
#endif
  out[i] = simd_max(sum);  // finding
}
