// Formula   ring[i, b, h, (start + t) % C, d] = (k, v)[i][b, h, t, d] for t >= skipped
// Layout    ring [2, B, Hkv, C, D]; k, v [B, Hkv, T, D]; all row-contiguous; state = {start % C, skipped}
// Grid      one thread per (d, t - skipped, (i, b, h)); any threadgroup
// Numerics  none: values are copied
// Traffic   reads and writes the rows of k and v once; no other row of the ring is touched
// Limits    T - skipped <= C, so that no slot is written twice; the ring is written in place (the extension only)
// Source    rotating KV buffer; the attention that reads the ring as it was comes before, see ops/ring_commit.cpp
#include <metal_stdlib>

using namespace metal;

template <typename T>
[[kernel]] void sliding_window_attention_commit_kernel(
    device T* ring [[buffer(0)]], const constant int* ring_shape [[buffer(1)]], const device T* k [[buffer(2)]],
    const constant int* k_shape [[buffer(3)]], const device T* v [[buffer(4)]], const constant int* state [[buffer(5)]],
    uint3 thread_position_in_grid [[thread_position_in_grid]]) {
  const uint dim = uint(ring_shape[4]);
  const uint d = thread_position_in_grid.x;
  const uint t = thread_position_in_grid.y + uint(state[1]);
  const uint row = thread_position_in_grid.z;
  const uint heads = uint(k_shape[0]) * uint(k_shape[1]);
  if (d >= dim || t >= uint(k_shape[2]) || row >= 2 * heads) {
    return;
  }
  const uint slot = (uint(state[0]) + t) % uint(ring_shape[3]);
  const device T* from = row < heads ? k : v;
  ring[(size_t(row) * uint(ring_shape[3]) + slot) * dim + d] =
      from[(size_t(row % heads) * uint(k_shape[2]) + t) * dim + d];
}
