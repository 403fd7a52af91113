// rule: kernel-main
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void main(device float* out [[buffer(0)]]) {  // error
  out[0] = 0;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void start(device float* out [[buffer(0)]]) { out[0] = 0; }
