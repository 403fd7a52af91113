// kind: threadgroup-memory-limit
// what: a tile that fits alone, but not beside what the host set
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// threadgroup memory 0: 4096
// line: none

kernel void too_much_with_the_argument(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                       threadgroup float* scratch [[threadgroup(0)]],
                                       uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {
#ifdef BUG
  threadgroup float tile[64 * 128];
#else
  threadgroup float tile[64];
#endif
  tile[t] = x[i];
  scratch[t] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  out[i] = tile[63 - t] + scratch[63 - t];
}
