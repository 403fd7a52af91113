// kind: stack-overflow
// what: each thread keeps a row of 400 KB for itself
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// line: any

kernel void private_array_too_large(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                    uint i [[thread_position_in_grid]]) {
#ifdef BUG
  const uint length = 100000;
#else
  const uint length = 64;
#endif
  float row[length];
  for (uint j = 0; j < length; ++j) row[j] = x[j % 64] + i;  // finding
  out[i] = row[uint(x[i]) % length];
}
