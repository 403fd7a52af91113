// kind: out-of-bounds
// what: a histogram bin that does not exist
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out uint[8] = 0

kernel void atomic_past_the_end(const device float* x [[buffer(0)]], device atomic_uint* out [[buffer(1)]],
                                uint i [[thread_position_in_grid]]) {
#ifdef BUG
  atomic_fetch_add_explicit(&out[uint(x[i]) / 7], 1, memory_order_relaxed);  // finding
#else
  atomic_fetch_add_explicit(&out[uint(x[i]) / 8], 1, memory_order_relaxed);
#endif
}
