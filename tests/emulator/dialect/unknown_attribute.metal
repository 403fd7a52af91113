// rule: unknown-attribute
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]],
              uint i [[thread_index_in_grid]]) {  // error
  out[i] = 0;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) { out[i] = 0; }
