// kind: out-of-bounds
// what: the host set less threadgroup memory than the kernel uses
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// threadgroup memory 0: 128

kernel void threadgroup_argument_past_the_end(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                              threadgroup float* scratch [[threadgroup(0)]],
                                              uint i [[thread_position_in_grid]],
                                              uint t [[thread_index_in_threadgroup]]) {
#ifdef BUG
  uint slot = t;
#else
  uint slot = t % 32;
#endif
  if (slot == t) scratch[slot] = x[i];  // finding
  threadgroup_barrier(mem_flags::mem_threadgroup);
  out[i] = scratch[t % 32];
}
