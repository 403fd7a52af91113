// kind: out-of-bounds
// what: the last thread reads one element past its input
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void read_past_the_end(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                              uint i [[thread_position_in_grid]]) {
#ifdef BUG
  out[i] = x[i + 1] - x[i];  // finding
#else
  out[i] = x[min(i + 1, 63u)] - x[i];
#endif
}
