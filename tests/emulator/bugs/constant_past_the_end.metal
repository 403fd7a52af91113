// kind: out-of-bounds
// what: a small input arrives in constant memory and is read past its end
// launch: grid 64, threadgroup 64
// buffer 0: in float[4]
// buffer 1: out float[64]

kernel void constant_past_the_end(constant float* taps [[buffer(0)]], device float* out [[buffer(1)]],
                                  uint i [[thread_position_in_grid]]) {
#ifdef BUG
  out[i] = taps[i % 5];  // finding
#else
  out[i] = taps[i % 4];
#endif
}
