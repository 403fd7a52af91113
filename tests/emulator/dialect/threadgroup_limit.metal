// rule: threadgroup-limit
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out, threadgroup float* shared [[threadgroup(31)]]) {  // error
  shared[0] = 1;
  out[0] = shared[0];
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out, threadgroup float* shared [[threadgroup(30)]]) {
  shared[0] = 1;
  out[0] = shared[0];
}
