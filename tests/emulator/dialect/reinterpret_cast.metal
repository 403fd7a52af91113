// rule: pointer-address-space
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  device auto* pairs = reinterpret_cast<float2*>(out);  // error
  pairs[i] = 0;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  device auto* pairs = reinterpret_cast<device float2*>(out);
  pairs[i] = 0;
}
