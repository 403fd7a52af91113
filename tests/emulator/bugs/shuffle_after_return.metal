// kind: simd-divergence
// what: a shuffle that reads from lanes which have returned
// launch: grid 64, threadgroup 64
// buffer 0: in float[60]
// buffer 1: out float[60]

kernel void shuffle_after_return(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                 uint i [[thread_position_in_grid]]) {
#ifdef BUG
  if (i >= 60) return;
#endif
  float v = i < 60 ? x[min(i, 59u)] : 0;
  v += simd_shuffle_down(v, 8);  // finding
#ifndef BUG
  if (i >= 60) return;
#endif
  out[i] = v;
}
