// rule: argument-by-value
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]],
              uint n [[buffer(1)]]) {  // error
  out[n] = 0;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], constant uint& n [[buffer(1)]]) { out[n] = 0; }
