// rule: attribute-mismatch
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(  // error
    device float* out [[buffer(0)]], uint i [[thread_position_in_grid]], uint3 size [[threads_per_grid]]) {
  out[i] = size.x;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint3 i [[thread_position_in_grid]], uint3 size [[threads_per_grid]]) {
  out[i.x] = size.x;
}
