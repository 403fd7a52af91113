// kind: race
// what: a simdgroup barrier where two simdgroups exchange values
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void simdgroup_barrier_is_too_little(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                            uint i [[thread_position_in_grid]],
                                            uint t [[thread_index_in_threadgroup]]) {
  threadgroup float tile[64];
  tile[t] = x[i];  // finding
#ifdef BUG
  simdgroup_barrier(mem_flags::mem_threadgroup);
#else
  threadgroup_barrier(mem_flags::mem_threadgroup);
#endif
  out[i] = tile[63 - t];  // finding
}
