// rule: argument-address-space
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]],
              thread uint& n [[buffer(1)]]) {  // error
  out[n] = 0;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], const device uint& n [[buffer(1)]]) { out[n] = 0; }
