// rule: double
// version: 3.1
#include <metal_stdlib>
using namespace metal;

#define ACCUMULATE double
float widen(float x) {
  ACCUMULATE sum = x;  // error
  return sum;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

#define ACCUMULATE float
float widen(float x) {
  ACCUMULATE sum = x;
  return sum;
}
