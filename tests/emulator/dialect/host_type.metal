// rule: host-type
// version: 3.1
#include <metal_stdlib>
using namespace metal;

float round_to_half(float x) {
  return _Float16(x);  // error
}

//= corrected
#include <metal_stdlib>
using namespace metal;

float round_to_half(float x) { return half(x); }
