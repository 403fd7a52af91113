// rule: pointer-address-space
// version: 3.1
#include <metal_stdlib>
using namespace metal;

float first(const float* x) {  // error
  return x[0];
}

//= corrected
#include <metal_stdlib>
using namespace metal;

float first(const device float* x) { return x[0]; }
