// kind: race
// what: an in-place shift: a lane overwrites what its neighbour still has to read
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void write_after_read(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                             uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {
  threadgroup float tile[64];
  tile[t] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const float next = tile[(t + 1) % 64];  // finding
#ifndef BUG
  threadgroup_barrier(mem_flags::mem_threadgroup);
#endif
  tile[t] = next;  // finding
  out[i] = tile[t];
}
