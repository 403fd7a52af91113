// rule: variable-length-array
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], constant uint& n [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  float row[n];  // error
  out[i] = row[0];
}

//= corrected
#include <metal_stdlib>
using namespace metal;

constant uint width = 4;

template <int N>
float first(thread float (&row)[N]) {
  float copy[N];
  copy[0] = row[0];
  return copy[0];
}

kernel void k(device float* out [[buffer(0)]], constant uint& n [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  const int pad = 1;
  float row[width + pad];
  float last = out[n];
  row[0] = last;
  out[i] = first(row);
}
