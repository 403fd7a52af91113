// rule: new-delete
// version: 3.1
#include <metal_stdlib>
using namespace metal;

float scratch(float x) {
  thread float* p = new float(x);  // error
  float y = *p;
  delete p;  // error
  return y;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

struct Scratch {
  float x;
  Scratch() = delete;
};

float scratch(float x) {
  float y = x;
  thread float* p = &y;
  return *p;
}
