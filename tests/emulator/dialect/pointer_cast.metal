// rule: pointer-address-space
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  device uint* bits = (uint*)out;  // error
  bits[i] = 0;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  device uint* bits = (device uint*)out;
  bits[i] = 0;
}
