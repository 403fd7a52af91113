// kind: uninitialised-private
// what: a function that returns nothing for the lanes past its last case
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

inline float missing_return_scale(uint i) {  // finding
  if (i < 48) return 2.0f;
#ifndef BUG
  return 0.5f;
#endif
}
kernel void missing_return(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                           uint i [[thread_position_in_grid]]) {
  out[i] = missing_return_scale(i) * x[i];
}
