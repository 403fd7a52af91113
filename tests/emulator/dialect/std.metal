// rule: std
// version: 3.1
#include <metal_stdlib>
using namespace metal;

float larger(float a, float b) {
  return std::max(a, b);  // error
}

//= corrected
#include <metal_stdlib>
using namespace metal;

float larger(float a, float b) { return metal::max(a, b); }
