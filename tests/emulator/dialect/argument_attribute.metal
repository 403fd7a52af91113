// rule: argument-attribute
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]],
              uint n,  // error
              uint i [[thread_position_in_grid]]) {
  if (i < n) out[i] = 0;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out,  // buffers may leave their index to the compiler
              constant uint& n, uint i [[thread_position_in_grid]]) {
  if (i < n) out[i] = 0;
}

template <typename T>
kernel void later(device T* out, uint n);
