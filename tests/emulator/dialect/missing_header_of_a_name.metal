// rule: missing-header
// version: 3.1
#include <metal_math>
using namespace metal;

float norm(float x) {
  return sqrt(simd_sum(x));  // error
}

//= corrected
#include <metal_math>
#include <metal_simdgroup>
using namespace metal;

float norm(float x) { return sqrt(simd_sum(x)); }
