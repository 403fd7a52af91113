// rule: long-long
// version: 3.1
#include <metal_stdlib>
using namespace metal;

long widen(int x) {
  return (long long)x;  // error
}

//= corrected
#include <metal_stdlib>
using namespace metal;

long widen(int x) { return (long)x; }
