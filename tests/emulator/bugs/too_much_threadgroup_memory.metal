// kind: threadgroup-memory-limit
// what: two tiles that need 40 KB
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// line: none

kernel void too_much_threadgroup_memory(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                        uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {
#ifdef BUG
  threadgroup float keys[64 * 128];
  threadgroup half values[64 * 64];
#else
  threadgroup float keys[64 * 64];
  threadgroup half values[64 * 64];
#endif
  keys[t] = x[i];
  values[t] = half(x[i]);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  out[i] = keys[63 - t] + values[63 - t];
}
