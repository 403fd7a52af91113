// rule: kernel-return
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel float k(device float* out [[buffer(0)]]) {  // error
  return out[0];
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) { out[0] = 0; }
