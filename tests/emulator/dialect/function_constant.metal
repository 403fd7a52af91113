// rule: function-constant
// version: 3.1
#include <metal_stdlib>
using namespace metal;

constant uint tile [[function_constant(0)]];

template <uint N>
float sum_of(device const float* x) {
  float sum = 0;
  for (uint i = 0; i < N; ++i) sum += x[i];
  return sum;
}

kernel void k(device float* out, device const float* x) {
  float values[tile];           // error
  constexpr uint again = tile;  // error
  values[0] = again;
  if constexpr (tile > 2) out[0] = 1.0f;  // error
  out[1] = sum_of<tile>(x) + values[0];   // error
}

//= corrected
#include <metal_stdlib>
using namespace metal;

constant uint tile [[function_constant(0)]];
constant bool is_wide = tile > 2;

float sum_of(device const float* x, uint n) {
  float sum = 0;
  for (uint i = 0; i < n; ++i) sum += x[i];
  return sum;
}

kernel void k(device float* out, device const float* x) {
  const uint again = tile;
  if (is_wide) out[0] = 1.0f;
  out[1] = sum_of(x, tile) + again;
}
