#include <metal_stdlib>
using namespace metal;

// clang takes both lines; Apple's compiler has no double, and no lambdas before Metal 4.
kernel void gelu(const device float* x [[buffer(0)]], device float* y [[buffer(1)]],
                 uint i [[thread_position_in_grid]]) {
  double inner = 0.7978845608 * (x[i] + 0.044715 * x[i] * x[i] * x[i]);
  auto half_of = [](float v) { return 0.5f * v; };
  y[i] = half_of(x[i]) * (1 + tanh(float(inner)));
}
