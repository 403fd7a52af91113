// kind: uninitialised-read
// what: the last tile is loaded in part and read in full
// launch: grid 64, threadgroup 64
// buffer 0: in float[60]
// buffer 1: out float[64]

kernel void tile_edge_not_filled(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                 uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {
  threadgroup float tile[64];
#ifdef BUG
  if (i < 60) tile[t] = x[i];
#else
  tile[t] = i < 60 ? x[i] : 0;
#endif
  threadgroup_barrier(mem_flags::mem_threadgroup);
  out[i] = tile[63 - t];  // finding
}
