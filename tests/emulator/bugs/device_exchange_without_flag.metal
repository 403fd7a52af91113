// kind: missing-mem-flags
// what: mem_threadgroup where device memory is exchanged
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// buffer 2: out float[64]

kernel void device_exchange_without_flag(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                         device float* scratch [[buffer(2)]], uint i [[thread_position_in_grid]],
                                         uint t [[thread_index_in_threadgroup]]) {
  scratch[t] = x[i];  // finding
#ifdef BUG
  threadgroup_barrier(mem_flags::mem_threadgroup);
#else
  threadgroup_barrier(mem_flags::mem_device);
#endif
  out[i] = scratch[63 - t];  // finding
}
