// kind: out-of-bounds
// what: the halo of a threadgroup tile is one element too short
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void threadgroup_past_the_end(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                     uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {
#ifdef BUG
  threadgroup float tile[64];
#else
  threadgroup float tile[65];
#endif
  tile[t] = x[i];
  if (t == 0) tile[64] = 0;  // finding
  threadgroup_barrier(mem_flags::mem_threadgroup);
  out[i] = tile[t + 1] - tile[t];
}
