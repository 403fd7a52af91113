#include <metal_stdlib>
using namespace metal;

// One threadgroup a row. `partial` holds the maxima first and the sums after: between the two stands no barrier.
kernel void softmax(const device float* x [[buffer(0)]], device float* y [[buffer(1)]], constant uint& n [[buffer(2)]],
                    uint row [[threadgroup_position_in_grid]], uint t [[thread_position_in_threadgroup]],
                    uint lane [[thread_index_in_simdgroup]], uint sg [[simdgroup_index_in_threadgroup]]) {
  threadgroup float partial[4];
  x += row * n;
  y += row * n;
  float most = -INFINITY;
  for (uint i = t; i < n; i += 128) most = max(most, x[i]);
  most = simd_max(most);
  if (lane == 0) partial[sg] = most;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  most = max(max(partial[0], partial[1]), max(partial[2], partial[3]));

  float sum = 0;
  for (uint i = t; i < n; i += 128) sum += exp(x[i] - most);
  sum = simd_sum(sum);
  if (lane == 0) partial[sg] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  sum = partial[0] + partial[1] + partial[2] + partial[3];
  for (uint i = t; i < n; i += 128) y[i] = exp(x[i] - most) / sum;
}
