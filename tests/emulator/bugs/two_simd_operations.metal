// kind: simd-divergence
// what: the lanes of a simdgroup wait at two different operations
// launch: grid 32, threadgroup 32
// buffer 0: in float[64]
// buffer 1: out float[32]
// line: any

kernel void two_simd_operations(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
#ifdef BUG
  float v;
  if (lane & 1) {
    v = simd_max(x[i]);  // finding
  } else {
    v = simd_min(x[i]);  // finding
  }
#else
  const float high = simd_max(x[i]), low = simd_min(x[i]);
  const float v = lane & 1 ? high : low;
#endif
  out[i] = v;
}
