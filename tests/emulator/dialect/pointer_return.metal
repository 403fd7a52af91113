// rule: pointer-address-space
// version: 3.1
#include <metal_stdlib>
using namespace metal;

template <typename T>
T* advance(device T* p, uint n) {  // error
  return p + n;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

template <typename T>
device T* advance(device T* p, uint n) {
  return p + n;
}
