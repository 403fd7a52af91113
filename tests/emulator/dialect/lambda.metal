// rule: lambda
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  auto square = [](float x) { return x * x; };  // error
  out[i] = square(float(i));
}

//= corrected
#include <metal_stdlib>
using namespace metal;

struct Square {
  float operator()(float x) const thread { return x * x; }
};

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  Square square;
  float table[2] = {[0 ... 1] = 1};
  out[i] = square(table[i & 1]);
}
