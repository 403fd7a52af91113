// Sums over lanes. Each is the same value in every lane that took part.
#pragma once

constant constexpr uint kSimd = 32;  // lanes of a simdgroup

// Over each aligned run of N lanes, N a power of two.
template <int N>
METAL_FUNC float lanes_sum(float value) {
  for (ushort step = N / 2; step > 0; step /= 2) {
    value += simd_shuffle_xor(value, step);
  }
  return value;
}

// Over the threadgroup; partial: [n_simds], free again only after the caller's next barrier.
METAL_FUNC float threadgroup_sum(float value, threadgroup float* partial, uint lane, uint simd, uint n_simds) {
  value = simd_sum(value);
  if (n_simds == 1) {
    return value;
  }
  if (lane == 0) {
    partial[simd] = value;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return simd_sum(lane < n_simds ? partial[lane] : 0.0f);
}
