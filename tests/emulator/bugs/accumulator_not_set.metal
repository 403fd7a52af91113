// kind: uninitialised-private
// what: an accumulator without an initial value
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void accumulator_not_set(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                uint i [[thread_position_in_grid]]) {
#ifdef BUG
  float sum;
#else
  float sum = 0;
#endif
  for (uint j = 0; j <= i % 4; ++j) sum += x[j];  // finding
  out[i] = sum;
}
