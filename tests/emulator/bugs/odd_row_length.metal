// kind: misaligned
// what: rows of 33 halves in threadgroup memory, stored as half4
// launch: grid 16, threadgroup 16
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void odd_row_length(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                           uint t [[thread_index_in_threadgroup]]) {
  threadgroup half tile[2 * 36];
  for (uint j = t; j < 72; j += 16) tile[j] = 0;
  threadgroup_barrier(mem_flags::mem_threadgroup);
#ifdef BUG
  threadgroup half* row = tile + (t / 8) * 33;
#else
  threadgroup half* row = tile + (t / 8) * 36;
#endif
  threadgroup half4* quad = reinterpret_cast<threadgroup half4*>(row + 4 * (t % 8));
  *quad = half4(*reinterpret_cast<const device float4*>(x + 4 * t));  // finding
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint j = 0; j < 4; ++j) out[4 * t + j] = row[4 * (t % 8) + j];
}
