// rule: pointer-address-space
// version: 3.1
#include <metal_stdlib>
using namespace metal;

struct Slice {
  float* data;  // error
  uint size;
};

//= corrected
#include <metal_stdlib>
using namespace metal;

struct Slice {
  device float* data;
  uint size;
};
