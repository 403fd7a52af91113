// rule: library-function
// version: 3.1
#include <metal_stdlib>
using namespace metal;

float gelu(float x) {
  return 0.5 * x * (1 + erf(x * M_SQRT1_2_F));  // error
}

//= corrected
#include <metal_stdlib>
using namespace metal;

float erf(float x) {
  return x;  // a function of one's own is fine
}

float gelu(float x) { return 0.5 * x * (1 + erf(x * M_SQRT1_2_F)); }
