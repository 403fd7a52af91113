// kind: inactive-lane
// what: a reduction by shuffles in a threadgroup whose last simdgroup is not full
// launch: grid 48, threadgroup 48
// buffer 0: in float[48]
// buffer 1: out float[2]

kernel void shuffle_from_an_absent_lane(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                        uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]],
                                        uint group [[simdgroup_index_in_threadgroup]]) {
  float v = x[i];
#ifdef BUG
  v += simd_shuffle_down(v, 16);  // finding
#else
  const float far = simd_shuffle_down(v, 16);
  v += i + 16 < 48 ? far : 0.0f;
#endif
  v += simd_shuffle_down(v, 8);
  v += simd_shuffle_down(v, 4);
  v += simd_shuffle_down(v, 2);
  v += simd_shuffle_down(v, 1);
  if (lane == 0) out[group] = v;
}
