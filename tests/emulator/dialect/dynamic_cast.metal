// rule: rtti
// version: 3.1
#include <metal_stdlib>
using namespace metal;

struct A {};
struct B : A {};

thread B* down(thread A* a) {
  return dynamic_cast<thread B*>(a);  // error
}

//= corrected
#include <metal_stdlib>
using namespace metal;

struct A {};
struct B : A {};

thread B* down(thread A* a) { return static_cast<thread B*>(a); }
