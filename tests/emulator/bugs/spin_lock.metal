// kind: step-limit
// what: a thread waits for a flag that a later thread of its own simdgroup would set
// launch: grid 64, threadgroup 64
// buffer 0: out float[64]
// buffer 1: out uint[1] = 0
// line: any

kernel void spin_lock(device float* out [[buffer(0)]], device atomic_uint* flag [[buffer(1)]],
                      uint i [[thread_position_in_grid]]) {
#ifdef BUG
  if (i == 0) {
    while (atomic_load_explicit(flag, memory_order_relaxed) == 0) {  // finding
    }
  }
  if (i == 31) atomic_store_explicit(flag, 1, memory_order_relaxed);
#else
  if (i == 31) atomic_store_explicit(flag, 1, memory_order_relaxed);
  simdgroup_barrier(mem_flags::mem_device);
#endif
  out[i] = i;
}
