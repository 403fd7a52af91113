// rule: virtual
// version: 3.1
#include <metal_stdlib>
using namespace metal;

struct Shape {
  virtual float area() const;  // error
};

//= corrected
#include <metal_stdlib>
using namespace metal;

struct Shape {
  float area() const thread;
};
