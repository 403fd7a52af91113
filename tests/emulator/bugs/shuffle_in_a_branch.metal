// kind: simd-divergence
// what: a shuffle in a branch that lanes past the end skip, though their values are read
// launch: grid 64, threadgroup 64
// buffer 0: in float[60]
// buffer 1: out float[64]

kernel void shuffle_in_a_branch(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                uint i [[thread_position_in_grid]]) {
  float v = i < 60 ? x[min(i, 59u)] : 0;
#ifdef BUG
  if (i < 60) v += simd_shuffle_down(v, 8);  // finding
#else
  v += simd_shuffle_down(v, 8);
#endif
  threadgroup_barrier(mem_flags::mem_none);  // finding
  out[i] = v;
}
