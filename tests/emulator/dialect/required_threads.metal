// rule: required-threads
// version: 3.2
#include <metal_stdlib>
using namespace metal;

[[required_threads_per_threadgroup(32, 1, 1)]] kernel void k(device float* out) {  // error
  out[0] = 1;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

[[max_total_threads_per_threadgroup(32)]] kernel void k(device float* out) { out[0] = 1; }
