// kind: order-dependence
// what: values are appended in order of arrival
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// buffer 2: out uint[1] = 0
// line: none

kernel void slot_by_arrival(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                            device atomic_uint* count [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  const uint slot = atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
#ifdef BUG
  out[slot] = x[i];
#else
  out[i] = x[i] + 0 * slot;
#endif
}
