// kind: race
// what: neighbouring threadgroups write one element in common
// launch: grid 128, threadgroup 64
// buffer 0: in float[128]
// buffer 1: out float[129]

kernel void overlapping_tiles(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                              uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]],
                              uint g [[threadgroup_position_in_grid]]) {
#ifdef BUG
  out[g * 64 + t] = x[i];             // finding
  if (t == 0) out[g * 64 + 64] = -1;  // finding
#else
  out[g * 64 + t] = x[i];
  if (i == 0) out[128] = -1;
#endif
}
