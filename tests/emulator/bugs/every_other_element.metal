// kind: unwritten-output
// what: vectorised stores that leave gaps
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// line: none

kernel void every_other_element(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                uint i [[thread_position_in_grid]]) {
#ifdef BUG
  if (i % 2 == 0) out[i] = x[i];
#else
  out[i] = x[i];
#endif
}
