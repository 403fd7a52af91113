// kind: race
// what: a histogram without atomics
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out uint[8] = 0

kernel void plain_increment(const device float* x [[buffer(0)]], device uint* out [[buffer(1)]],
                            uint i [[thread_position_in_grid]]) {
#ifdef BUG
  out[uint(x[i]) / 8] += 1;  // finding
#else
  atomic_fetch_add_explicit(reinterpret_cast<device atomic_uint*>(out) + uint(x[i]) / 8, 1, memory_order_relaxed);
#endif
}
