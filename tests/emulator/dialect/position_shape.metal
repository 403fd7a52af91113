// rule: position-shape
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device uint* out, uint group [[threadgroup_position_in_grid]],  // error
              uint3 i [[thread_position_in_threadgroup]]) {
  out[group] = i.x;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void k(device uint* out, uint3 group [[threadgroup_position_in_grid]],
              ushort3 i [[thread_position_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  out[group.x] = i.x + lane;
}
