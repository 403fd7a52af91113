// kind: race
// what: one lane reads a counter as a plain number while the others still count
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// buffer 2: out uint[1] = 0

kernel void counter_read_plainly(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                 device atomic_uint* count [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  out[i] = x[i];
#ifdef BUG
  if (i == 0) out[0] = *(device uint*)count;  // finding
#else
  if (i == 0) out[0] = atomic_load_explicit(count, memory_order_relaxed);
#endif
  atomic_fetch_add_explicit(count, 1, memory_order_relaxed);  // finding
}
