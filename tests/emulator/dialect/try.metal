// rule: exceptions
// version: 3.1
#include <metal_stdlib>
using namespace metal;

float guarded(float x) {
  try {  // error
    x = 1 / x;
  } catch (...) {  // error
    x = 0;
  }
  return x;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

float guarded(float x) { return x == 0 ? 0 : 1 / x; }
