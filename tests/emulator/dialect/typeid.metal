// rule: rtti
// version: 3.1
#include <metal_stdlib>
using namespace metal;

template <typename T>
bool is_float(T x) {
  return typeid(x) == typeid(float);  // error
}

//= corrected
#include <metal_stdlib>
using namespace metal;

template <typename T>
bool is_float(T) {
  return is_same<T, float>::value;
}
