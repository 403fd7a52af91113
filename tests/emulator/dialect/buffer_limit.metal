// rule: buffer-limit
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(31)]]) {  // error
  out[0] = 0;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(30)]]) { out[0] = 0; }
