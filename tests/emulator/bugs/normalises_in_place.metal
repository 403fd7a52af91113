// kind: write-to-input
// what: an input is overwritten
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void normalises_in_place(device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                uint i [[thread_position_in_grid]]) {
#ifdef BUG
  x[i] *= 2;  // finding
  out[i] = x[i];
#else
  out[i] = x[i] * 2;
#endif
}
