// rule: exceptions
// version: 3.1
#include <metal_stdlib>
using namespace metal;

float reciprocal(float x) {
  if (x == 0) {
    throw 1;  // error
  }
  return 1 / x;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

float reciprocal(float x) {
  if (x == 0) {
    return INFINITY;
  }
  return 1 / x;
}
