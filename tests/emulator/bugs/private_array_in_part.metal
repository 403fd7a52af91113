// kind: uninitialised-private
// what: one element of a thread's own array is never written
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// line: none

kernel void private_array_in_part(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                  uint i [[thread_position_in_grid]]) {
  float row[4];
#ifdef BUG
  for (uint j = 0; j < 3; ++j) row[j] = x[(i + j) % 64];
#else
  for (uint j = 0; j < 4; ++j) row[j] = x[(i + j) % 64];
#endif
  float sum = 0;
  for (uint j = 0; j < 4; ++j) sum += row[j];  // finding
  out[i] = sum;
}
