// rule: constant-initialiser
// version: 3.1
#include <metal_stdlib>
using namespace metal;

constant float table[4];  // error

//= corrected
#include <metal_stdlib>
using namespace metal;

constant float table[4] = {1, 2, 3, 4};
extern constant float elsewhere[4];
