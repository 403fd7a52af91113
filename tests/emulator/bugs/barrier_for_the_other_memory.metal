// kind: missing-mem-flags
// what: mem_device where threadgroup memory is exchanged
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void barrier_for_the_other_memory(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                         uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {
  threadgroup float tile[64];
  tile[t] = x[i];  // finding
#ifdef BUG
  threadgroup_barrier(mem_flags::mem_device);
#else
  threadgroup_barrier(mem_flags::mem_threadgroup);
#endif
  out[i] = tile[63 - t];  // finding
}
