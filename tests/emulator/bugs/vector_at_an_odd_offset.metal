// kind: misaligned
// what: a float4 load at an offset of four bytes
// launch: grid 16, threadgroup 16
// buffer 0: in float[68]
// buffer 1: out float[64]

kernel void vector_at_an_odd_offset(const device float* x [[buffer(0)]], device float4* out [[buffer(1)]],
                                    uint i [[thread_position_in_grid]]) {
#ifdef BUG
  out[i] = *reinterpret_cast<const device float4*>(x + 4 * i + 1);  // finding
#else
  out[i] = *reinterpret_cast<const device packed_float4*>(x + 4 * i + 1);
#endif
}
