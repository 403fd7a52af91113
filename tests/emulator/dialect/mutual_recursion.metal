// rule: recursion
// version: 2.3
#include <metal_stdlib>
using namespace metal;

bool odd(uint n);
bool even(uint n) {  // error
  return n == 0 || odd(n - 1);
}

bool odd(uint n) {  // error
  return n != 0 && even(n - 1);
}

//= corrected
#include <metal_stdlib>
using namespace metal;

bool odd(uint n) { return n & 1; }

bool even(uint n) { return !odd(n); }
