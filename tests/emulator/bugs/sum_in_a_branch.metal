// kind: simd-divergence
// what: simd_sum in a branch that half of the lanes take
// launch: grid 32, threadgroup 32
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void sum_in_a_branch(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                            uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
  float sum = x[i];
#ifdef BUG
  if (lane < 16) sum = simd_sum(sum);  // finding
#else
  sum = simd_sum(lane < 16 ? sum : 0);
#endif
  out[i] = sum;
}
