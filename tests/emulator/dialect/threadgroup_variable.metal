// rule: threadgroup-variable
// version: 3.1
#include <metal_stdlib>
using namespace metal;

float reduce(float x, uint lane) {
  threadgroup float partial[32];  // error
  partial[lane] = x;
  return partial[0];
}

//= corrected
#include <metal_stdlib>
using namespace metal;

float reduce(float x, uint lane, threadgroup float* partial) {
  partial[lane] = x;
  threadgroup float* first = partial;
  return *first;
}

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_threadgroup]]) {
  threadgroup float partial[32];
  out[i] = reduce(i, i, partial);
}
