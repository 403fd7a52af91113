// kind: barrier-divergence
// what: a barrier in a branch that half of the threads take
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void barrier_in_a_branch(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {
  threadgroup float tile[64];
  tile[t] = x[i];
#ifdef BUG
  if (t < 32) threadgroup_barrier(mem_flags::mem_threadgroup);  // finding
  out[i] = tile[t];
#else
  threadgroup_barrier(mem_flags::mem_threadgroup);
  out[i] = tile[63 - t];
#endif
}
