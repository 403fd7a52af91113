// rule: attribute-conflict
// version: 3.1
#include <metal_stdlib>
using namespace metal;

kernel void k(device uint* out, uint width [[thread_execution_width]], uint lanes [[threads_per_simdgroup]]) {  // error
  out[0] = width + lanes;
}

//= corrected
#include <metal_stdlib>
using namespace metal;

kernel void k(device uint* out, uint width [[thread_execution_width]]) { out[0] = width; }
kernel void j(device uint* out, uint lanes [[threads_per_simdgroup]]) { out[0] = lanes; }
