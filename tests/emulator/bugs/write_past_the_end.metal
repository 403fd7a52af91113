// kind: out-of-bounds
// what: the grid is rounded up and nothing guards the last threads
// launch: grid 64, threadgroup 64
// buffer 0: out float[60]

kernel void write_past_the_end(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
#ifndef BUG
  if (i >= 60) return;
#endif
  out[i] = i;  // finding
}
