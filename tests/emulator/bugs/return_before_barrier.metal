// kind: barrier-divergence
// what: threads past the end return before a barrier that the others reach
// launch: grid 64, threadgroup 64
// buffer 0: in float[60]
// buffer 1: out float[60]

kernel void return_before_barrier(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                  uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {
  threadgroup float tile[64];
#ifdef BUG
  if (i >= 60) return;
#endif
  tile[t] = i < 60 ? x[min(i, 59u)] : 0;
  threadgroup_barrier(mem_flags::mem_threadgroup);  // finding
#ifndef BUG
  if (i >= 60) return;
#endif
  out[i] = tile[59 - t];
}
