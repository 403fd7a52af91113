// rule: kernel-overload
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void zero(device float* out [[buffer(0)]]) { out[0] = 0; }

kernel void zero(device int* out [[buffer(0)]]) {  // error
  out[0] = 0;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

template <typename T>
kernel void zero(device T* out [[buffer(0)]]) {
  out[0] = 0;
}

template [[host_name("zero_float")]] kernel void zero<float>(device float*);
template [[host_name("zero_int")]] kernel void zero<int>(device int*);
