// rule: address-space-cast
// version: 3.1
#include <metal_stdlib>
using namespace metal;

struct Parameters {
  float scale;
};

kernel void k(device float* out, constant Parameters& parameters) {
  device const Parameters& p = (device const Parameters&)parameters;  // error
  thread float& first = (thread float&)out[0];                        // error
  first = p.scale;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

struct Parameters {
  float scale;
};

kernel void k(device float* out, constant Parameters& parameters) {
  constant const Parameters& p = (constant const Parameters&)parameters;
  device float& first = out[0];
  first = p.scale;
}
