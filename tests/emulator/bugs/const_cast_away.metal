// kind: write-to-input
// what: a cast removes the const of an input
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void const_cast_away(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                            uint i [[thread_position_in_grid]]) {
#ifdef BUG
  const_cast<device float*>(x)[i] = 0;  // finding
  out[i] = 0;
#else
  out[i] = x[i];
#endif
}
