// rule: bfloat-version
// version: 3.0
#include <metal_stdlib>
using namespace metal;

float widen(bfloat x) {  // error
  return x;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

float widen(half x) { return x; }
