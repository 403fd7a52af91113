// rule: header
// version: 3.1
#include <cmath>        // error
#include <metal_maths>  // error
#include <metal_stdlib>
using namespace metal;

//= corrected
#include <metal_math>
#include <metal_stdlib>
using namespace metal;
