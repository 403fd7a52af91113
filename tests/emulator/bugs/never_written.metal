// kind: unwritten-output
// what: a result stays in a variable
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// line: none

kernel void never_written(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                          uint i [[thread_position_in_grid]]) {
  const float y = x[i] * 2;
#ifdef BUG
  if (y < 0) out[i] = y;
#else
  out[i] = y;
#endif
}
