// rule: attribute-type
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]],
              int i [[thread_position_in_grid]],           // error
              uint2 lane [[thread_index_in_simdgroup]]) {  // error
  out[i] = lane.x;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], ushort3 i [[thread_position_in_grid]],
              ushort lane [[thread_index_in_simdgroup]]) {
  out[i.x] = lane;
}
