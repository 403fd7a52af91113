// rule: missing-header
// version: 3.1
using namespace metal;  // error

float larger(float a, float b) { return max(a, b); }

//= corrected
#include <metal_common>
using namespace metal;

float larger(float a, float b) { return max(a, b); }
