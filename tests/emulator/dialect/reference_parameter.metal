// rule: pointer-address-space
// version: 3.1
#include <metal_stdlib>
using namespace metal;

void add(float& sum, float x) {  // error
  sum += x;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

void add(thread float& sum, float x) { sum += x; }
