// Formula   ring[i, b, h, (start + t) % C, d] = (k, v)[i][b, h, t, d] for t >= skipped; bytes: round(127 x / max|x|)
// Layout    ring [2, B, Hkv, C, D]; k, v [B, Hkv, T, D]; all row-contiguous; state = {start % C, skipped}; see common/ring.h
// Grid      one thread per (d, t - skipped, (i, b, h)), any threadgroup; bytes: one simdgroup per (t - skipped, (i, b, h))
// Numerics  none: values are copied; bytes: float32, to nearest even, within half of the scale max|x| / 127
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

template <typename T>
[[kernel]] void sliding_window_attention_commit_bytes_kernel(
    device int8_t* ring [[buffer(0)]], const constant int* ring_shape [[buffer(1)]], const device T* k [[buffer(2)]],
    const constant int* k_shape [[buffer(3)]], const device T* v [[buffer(4)]], const constant int* state [[buffer(5)]],
    uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
    uint thread_index_in_simdgroup [[thread_index_in_simdgroup]]) {
  const uint dim = uint(k_shape[3]);
  const uint t = threadgroup_position_in_grid.y + uint(state[1]);
  const uint row = threadgroup_position_in_grid.z;
  const uint heads = uint(k_shape[0]) * uint(k_shape[1]);
  const size_t capacity = uint(ring_shape[3]);
  const size_t slot = row * capacity + (uint(state[0]) + t) % uint(capacity);
  const device T* from = (row < heads ? k : v) + (size_t(row % heads) * uint(k_shape[2]) + t) * dim;

  // As bits: an infinity is above every number, a NaN above that.
  uint bits = 0;
  for (uint d = thread_index_in_simdgroup; d < dim; d += 32) {
    bits = max(bits, as_type<uint>(float(from[d])) & 0x7fffffffu);
  }
  bits = simd_max(bits);
  const bool finite = bits < 0x7f800000u;
  const float largest = as_type<float>(bits);
  const bool some = finite && largest >= 0x1p-119f;
  const float steps = some ? 127 / largest : 0.0f;
  for (uint d = thread_index_in_simdgroup; d < dim; d += 32) {
    ring[slot * dim + d] = int8_t(some ? rint(float(from[d]) * steps) : 0.0f);
  }
  if (thread_index_in_simdgroup == 0) {
    device float* scales = (device float*)(ring + 2 * heads * capacity * dim);
    scales[slot] = !finite ? as_type<float>(0x7fc00000u) : some ? largest / 127 : 0.0f;
  }
}
