// kind: order-dependence
// what: the last of several atomic stores wins
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out uint[1] = 0
// line: none

kernel void last_writer_wins(const device float* x [[buffer(0)]], device atomic_uint* out [[buffer(1)]],
                             uint i [[thread_position_in_grid]]) {
#ifdef BUG
  atomic_store_explicit(out, uint(x[i]), memory_order_relaxed);
#else
  atomic_fetch_max_explicit(out, uint(x[i]), memory_order_relaxed);
#endif
}
