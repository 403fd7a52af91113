// kind: null-pointer
// what: an optional input that was left out is read for the lanes that need it
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void optional_input_not_given(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                     uint i [[thread_position_in_grid]]) {
#ifdef BUG
  const device float* bias = nullptr;
#else
  const device float* bias = x;
#endif
  out[i] = x[i] > 8 ? x[i] + bias[i] : x[i];  // finding
}
