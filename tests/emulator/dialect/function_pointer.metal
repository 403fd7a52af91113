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

template <typename F>
float apply(F f, float x) {
  return f(x);
}
