// rule: buffer-index
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]],
              const device float* x [[buffer(0)]]) {  // error
  out[0] = x[0];
}

//= corrected
#include <metal_stdlib>
using namespace metal;

constant bool has_mask [[function_constant(0)]];
constant bool has_bias = !has_mask;

kernel void k(device float* out [[buffer(0)]], const device float* mask [[buffer(1), function_constant(has_mask)]],
              const device float* bias [[buffer(1), function_constant(has_bias)]]) {
  out[0] = has_mask ? mask[0] : bias[0];
}
