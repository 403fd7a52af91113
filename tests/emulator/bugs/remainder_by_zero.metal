// kind: division-by-zero
// what: an index is taken modulo a count that may be zero
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// buffer 2: in uint[1] = 0

kernel void remainder_by_zero(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                              constant uint& n [[buffer(2)]], uint i [[thread_position_in_grid]]) {
#ifdef BUG
  out[i] = x[i % n];  // finding
#else
  out[i] = x[n == 0 ? i : i % n];
#endif
}
