// kind: write-to-input
// what: source and destination are swapped
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void swapped_arguments(device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                              uint i [[thread_position_in_grid]]) {
#ifdef BUG
  x[i] = out[i] = i;  // finding
#else
  out[i] = x[i];
#endif
}
