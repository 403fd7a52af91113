// rule: noexcept-operator
// version: 3.1
#include <metal_stdlib>
using namespace metal;

float f(float x);
constant bool quiet = noexcept(f(1));  // error

//= corrected
#include <metal_stdlib>
using namespace metal;

float f(float x) noexcept(true);
constant bool quiet = true;
