// rule: recursion
// version: 2.3
#include <metal_stdlib>
using namespace metal;

float power(float x, int n) {  // error
  return n == 0 ? 1 : x * power(x, n - 1);
}

//= corrected
#include <metal_stdlib>
using namespace metal;

float power(float x, int n) {
  float y = 1;
  for (int i = 0; i < n; ++i) y *= x;
  return y;
}
