// kind: order-dependence
// what: a float sum by atomics rounds differently in each order
// launch: grid 64 fixed 32, threadgroup 64 fixed 32
// buffer 0: in float[64] = 0.1 * 3 ** (i % 9)
// buffer 1: out float[1] = 0
// line: none

kernel void sum_in_order_of_arrival(const device float* x [[buffer(0)]], device atomic_float* out [[buffer(1)]],
                                    uint i [[thread_position_in_grid]]) {
#ifdef BUG
  atomic_fetch_add_explicit(out, x[i], memory_order_relaxed);
#else
  float sum = simd_sum(x[i]) + simd_sum(x[i + 32]);
  if (i == 0) atomic_store_explicit(out, sum, memory_order_relaxed);
#endif
}
