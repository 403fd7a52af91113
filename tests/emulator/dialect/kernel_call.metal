// rule: kernel-call
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void inner(device float* out [[buffer(0)]]) { out[0] = 0; }

kernel void outer(device float* out [[buffer(0)]]) {
  inner(out);  // error
}

//= corrected
#include <metal_stdlib>
using namespace metal;

void inner(device float* out) { out[0] = 0; }

kernel void outer(device float* out [[buffer(0)]]) { inner(out); }
