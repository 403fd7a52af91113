// rule: storage-class
// version: 3.1
#include <metal_stdlib>
using namespace metal;

float twice(float x) {
  register float y = x;  // error
  return y + y;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

float twice(float x) {
  float y = x;
  return y + y;
}
