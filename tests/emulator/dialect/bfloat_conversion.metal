// rule: bfloat-conversion
// version: 3.1
#include <metal_stdlib>
using namespace metal;

bfloat halved(float x) {
  return 0.5f * x;  // error
}
bfloat twice(bfloat x) { return x + x; }
constant bfloat steps[2] = {0.5f, 1.0f};  // error
template <typename T>
T scaled(T x) {
  T factor = 0.5;  // error
  return factor * x;
}

kernel void k(device bfloat* out, device half* h, constant float& scale, uint i [[thread_position_in_grid]]) {
  bfloat a = scale;             // error
  a = 2.0f;                     // error
  a += scale;                   // error
  a = twice(scale);             // error
  bfloat b = i < 2 ? a : 0.0f;  // error
  bfloat4 v = 1.0f;             // error
  float product = h[i] * b;     // error
  out[i] = halved(product) + steps[i & 1] + scaled(b) + v.x;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

bfloat halved(float x) { return bfloat(0.5f * x); }
bfloat twice(bfloat x) { return x + x; }
constant bfloat steps[2] = {bfloat(0.5f), 1.0bf};
template <typename T>
T scaled(T x) {
  T factor = T(0.5);
  return factor * x;
}

kernel void k(device bfloat* out, device half* h, constant float& scale, uint i [[thread_position_in_grid]]) {
  bfloat a = bfloat(scale);
  a = 2;
  a += static_cast<bfloat>(scale);
  a = twice(bfloat(scale));
  bfloat b = i < 2 ? a : bfloat(0.0f);
  bfloat4 v = bfloat(1.0f);
  float product = h[i] * float(b);
  out[i] = halved(product) + steps[i & 1] + scaled(b) + v.x;
}
