// kind: out-of-bounds
// what: a float4 load whose last three elements lie past the end
// launch: grid 16, threadgroup 16
// buffer 0: in float[61]
// buffer 1: out float[64]

kernel void vector_past_the_end(const device float* x [[buffer(0)]], device float4* out [[buffer(1)]],
                                uint i [[thread_position_in_grid]]) {
#ifdef BUG
  out[i] = *reinterpret_cast<const device float4*>(x + 4 * i);  // finding
#else
  const uint n = min(4u, 61 - 4 * i);
  float4 v = 0;
  for (uint j = 0; j < n; ++j) v[j] = x[4 * i + j];
  out[i] = v;
#endif
}
