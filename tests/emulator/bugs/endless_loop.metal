// kind: step-limit
// what: a loop whose counter never reaches its bound
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// line: any

kernel void endless_loop(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                         uint i [[thread_position_in_grid]]) {
  uint j = 0;
  float sum = 0;
#ifdef BUG
  while (j != 63) {    // finding
    sum += x[j % 64];  // finding
    j += 2;            // finding
  }
#else
  while (j < 63) {
    sum += x[j % 64];
    j += 2;
  }
#endif
  out[i] = sum;
}
