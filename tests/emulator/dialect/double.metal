// rule: double
// version: 3.1
#include <metal_stdlib>
using namespace metal;

float mean(float sum, uint n) {
  return float(double(sum) / n);  // error
}

//= corrected
#include <metal_stdlib>
using namespace metal;

float mean(float sum, uint n) { return sum / n; }
