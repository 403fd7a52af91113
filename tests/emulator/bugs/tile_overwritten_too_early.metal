// kind: race
// what: the next tile is written while others still read the last one
// launch: grid 64, threadgroup 64
// buffer 0: in float[256]
// buffer 1: out float[64]

kernel void tile_overwritten_too_early(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                       uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {
  threadgroup float tile[64];
  float sum = 0;
  for (uint j = 0; j < 4; ++j) {
    tile[t] = x[j * 64 + t];  // finding
    threadgroup_barrier(mem_flags::mem_threadgroup);
    sum += tile[63 - t];  // finding
#ifndef BUG
    threadgroup_barrier(mem_flags::mem_threadgroup);
#endif
  }
  out[i] = sum;
}
