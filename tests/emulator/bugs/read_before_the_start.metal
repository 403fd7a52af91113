// kind: out-of-bounds
// what: the first thread reads the element before its input
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void read_before_the_start(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                  uint i [[thread_position_in_grid]]) {
#ifdef BUG
  out[i] = x[int(i) - 1];  // finding
#else
  out[i] = x[max(int(i) - 1, 0)];
#endif
}
