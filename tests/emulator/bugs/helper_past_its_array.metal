// kind: out-of-bounds
// what: a helper that fills one element more than the private array has that it is handed
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

inline void helper_past_its_array_fill(thread float* p, float x, uint n) {
  for (uint j = 0; j < n; ++j) p[j] = x + j;  // finding
}
kernel void helper_past_its_array(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                  uint i [[thread_position_in_grid]]) {
  float row[4];
#ifdef BUG
  helper_past_its_array_fill(row, x[i], 5);
#else
  helper_past_its_array_fill(row, x[i], 4);
#endif
  out[i] = row[i % 4];
}
