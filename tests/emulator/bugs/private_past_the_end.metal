// kind: out-of-bounds
// what: a thread's own array is indexed by data that may exceed it
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void private_past_the_end(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                 uint i [[thread_position_in_grid]]) {
  float row[4] = {1, 2, 3, 4};
#ifdef BUG
  uint j = uint(x[i]) % 5;
#else
  uint j = uint(x[i]) % 4;
#endif
  row[j] = 0;  // finding
  out[i] = row[0] + row[1] + row[2] + row[3];
}
