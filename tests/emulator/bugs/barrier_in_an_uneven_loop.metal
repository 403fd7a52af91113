// kind: barrier-divergence
// what: a loop with a barrier, left earlier by some threads than by others
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// line: any

kernel void barrier_in_an_uneven_loop(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                      uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {
  threadgroup float tile[64];
  float sum = 0;
#ifdef BUG
  for (uint j = t; j < 100; j += 64) {
#else
  for (uint j = t; j < 128; j += 64) {
#endif
    tile[t] = x[j % 64];
    threadgroup_barrier(mem_flags::mem_threadgroup);  // finding
    sum += tile[63 - t];
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  out[i] = sum;
}
