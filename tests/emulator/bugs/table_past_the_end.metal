// kind: out-of-bounds
// what: a program-scope table is indexed past its end
// launch: grid 64, threadgroup 64
// buffer 0: out float[64]

constant float kWeights[3] = {0.25f, 0.5f, 0.25f};

kernel void table_past_the_end(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
#ifdef BUG
  out[i] = kWeights[i % 4];  // finding
#else
  out[i] = kWeights[i % 3];
#endif
}
