// rule: static-local
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  static int calls = 0;  // error
  out[i] = ++calls;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  int calls = 0;
  out[i] = ++calls;
}
