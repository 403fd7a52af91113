// kind: out-of-bounds
// what: a [4, 16] matrix is walked with the stride of a [16, 4] one, transposed in the wrong order
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void stride_of_another_axis(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                   uint i [[thread_position_in_grid]]) {
  const uint row = i / 16, column = i % 16;
#ifdef BUG
  out[i] = x[row + column * 16];  // finding
#else
  out[i] = x[row * 16 + column];
#endif
}
