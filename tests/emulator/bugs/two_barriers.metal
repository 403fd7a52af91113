// kind: barrier-divergence
// what: the threads wait at two different barriers
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void two_barriers(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                         uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {
  threadgroup float tile[64];
#ifdef BUG
  if (t < 32) {
    tile[t] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);  // finding
  } else {
    tile[t] = -x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);  // finding
  }
#else
  tile[t] = t < 32 ? x[i] : -x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
#endif
  out[i] = tile[63 - t];
}
