// kind: unwritten-output
// what: a loop over rows stops one row early
// launch: grid 8, threadgroup 8
// buffer 0: in float[64]
// buffer 1: out float[64]
// line: none

kernel void last_row_forgotten(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                               uint t [[thread_index_in_threadgroup]]) {
#ifdef BUG
  for (uint row = 0; row < 7; ++row) out[row * 8 + t] = x[row * 8 + t];
#else
  for (uint row = 0; row < 8; ++row) out[row * 8 + t] = x[row * 8 + t];
#endif
}
