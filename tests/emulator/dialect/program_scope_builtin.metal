// rule: program-scope-variable
// version: 3.0
#include <metal_stdlib>
using namespace metal;

uint lane [[thread_index_in_simdgroup]];  // error

//= corrected
#include <metal_stdlib>
using namespace metal;

constant uint lanes = 32;
