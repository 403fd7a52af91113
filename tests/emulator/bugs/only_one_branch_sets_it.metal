// kind: uninitialised-private
// what: a value that only one branch sets
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void only_one_branch_sets_it(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                    uint i [[thread_position_in_grid]]) {
#ifdef BUG
  float scale;
#else
  float scale = 1;
#endif
  if (x[i] > 31) scale = 2;  // finding
  out[i] = x[i] * scale;
}
