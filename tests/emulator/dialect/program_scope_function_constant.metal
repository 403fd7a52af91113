// rule: program-scope-variable
// version: 3.0
#include <metal_stdlib>
using namespace metal;

bool causal [[function_constant(0)]];  // error

//= corrected
#include <metal_stdlib>
using namespace metal;

constant bool causal [[function_constant(0)]];
