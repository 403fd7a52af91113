// rule: function-pointer
// version: 3.1
#include <metal_stdlib>
using namespace metal;

float square(float x) { return x * x; }

float apply(float (*f)(float), float x) {  // error
  return f(x);
}

//= corrected
#include <metal_stdlib>
using namespace metal;

float square(float x) { return x * x; }

template <float (*F)(float)>
float apply(float x) {
  return F(x);
}

float twice(float x) { return apply<square>(x); }
