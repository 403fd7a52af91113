// kind: race
// what: a threadgroup reads what another one wrote in the same launch
// launch: grid 128, threadgroup 64
// buffer 0: in float[128]
// buffer 1: out float[128]

kernel void other_threadgroup_result(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                     uint i [[thread_position_in_grid]]) {
#ifdef BUG
  out[i] = x[i];  // finding
  threadgroup_barrier(mem_flags::mem_device);
  if (i == 64) out[i] = x[i] + out[0];  // finding
#else
  out[i] = i == 64 ? x[i] + x[0] : x[i];
#endif
}
