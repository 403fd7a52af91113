// rule: double
// version: 3.1
#include <metal_stdlib>
using namespace metal;

float first(double2 x) {  // error
  return x.x;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

float first(float2 x) { return x.x; }
