// rule: program-scope-variable
// version: 3.1
#include <metal_stdlib>
using namespace metal;

int window = 750;                   // error
constexpr int heads = 32;           // error
static const float scale = 0.125f;  // error

//= corrected
#include <metal_stdlib>
using namespace metal;

constant int window = 750;
constexpr constant int heads = 32;
static constant float scale = 0.125f;
using Pair = float2;
float declared_here(float x, float y);
