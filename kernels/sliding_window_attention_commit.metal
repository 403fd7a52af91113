// Formula   ring[i, b, h, (start + t) % C, d] = (k, v)[i][b, h, t, d] for t >= skipped; bytes: round(127 x / max|x|)
// Layout    ring [2, B, Hkv, C, D]; k, v [B, Hkv, T, D]; all row-contiguous; state = {start % C, skipped}; see common/ring.h;
//           STREAMS: k, v [T, Hkv, 1, D], streams as in common/ring.h
// Grid      one thread per (d, t - skipped, (i, b, h)), any threadgroup; bytes: one simdgroup per (t - skipped, (i, b, h))
// Numerics  none: values are copied; bytes: float32, to nearest even, within half of the scale max|x| / 127
// Traffic   reads and writes the rows of k and v once; no other row of the ring is touched
// Limits    T - skipped <= C, so that no slot is written twice; the ring is written in place (the extension only)
// Source    rotating KV buffer; the attention that reads the ring as it was comes before, see ops/ring_commit.cpp
#include <metal_stdlib>

using namespace metal;

// Which row of k or v goes to which of the ring's, of those of a head that lie `t` behind the first that stays.
struct CommittedRow {
  bool exists;
  bool values;
  size_t from;
  size_t to;
};

template <bool STREAMS>
METAL_FUNC CommittedRow committed_row(const constant int* ring_shape, const constant int* k_shape,
                                      const constant int* state, const constant int* streams, uint batch, uint t,
                                      uint row) {
  const uint n_kv_heads = uint(k_shape[1]);
  const uint heads = batch * n_kv_heads;
  const uint capacity = uint(ring_shape[3]);
  const uint head = row % heads;
  const bool values = row >= heads;
  const size_t others = values ? size_t(ring_shape[1]) * n_kv_heads : 0;
  if (STREAMS) {
    const constant int* at = streams + 4 * (head / n_kv_heads);
    t += uint(max(0, at[3] - int(capacity)));
    const size_t to = others + uint(at[0]) * n_kv_heads + head % n_kv_heads;
    return {row < 2 * heads && int(t) < at[3], values, size_t(uint(at[2]) + t) * n_kv_heads + head % n_kv_heads,
            to * capacity + (uint(at[1]) + t) % capacity};
  }
  t += uint(state[1]);
  return {row < 2 * heads && t < uint(k_shape[2]), values, size_t(head) * uint(k_shape[2]) + t,
          (others + head) * capacity + (uint(state[0]) + t) % capacity};
}

template <typename T, bool STREAMS>
[[kernel]] void sliding_window_attention_commit_kernel(
    device T* ring [[buffer(0)]], const constant int* ring_shape [[buffer(1)]], const device T* k [[buffer(2)]],
    const constant int* k_shape [[buffer(3)]], const device T* v [[buffer(4)]], const constant int* state [[buffer(5)]],
    const constant int* streams [[buffer(6)]], uint3 thread_position_in_grid [[thread_position_in_grid]],
    uint3 threads_per_grid [[threads_per_grid]]) {
  const uint dim = uint(ring_shape[4]);
  const uint d = thread_position_in_grid.x;
  const uint batch = threads_per_grid.z / 2 / uint(k_shape[1]);
  const CommittedRow row = committed_row<STREAMS>(ring_shape, k_shape, state, streams, batch, thread_position_in_grid.y,
                                                  thread_position_in_grid.z);
  if (d >= dim || !row.exists) {
    return;
  }
  ring[row.to * dim + d] = (row.values ? v : k)[row.from * dim + d];
}

template <typename T, bool STREAMS>
[[kernel]] void sliding_window_attention_commit_bytes_kernel(
    device int8_t* ring [[buffer(0)]], const constant int* ring_shape [[buffer(1)]], const device T* k [[buffer(2)]],
    const constant int* k_shape [[buffer(3)]], const device T* v [[buffer(4)]], const constant int* state [[buffer(5)]],
    const constant int* streams [[buffer(6)]], uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
    uint3 threadgroups_per_grid [[threadgroups_per_grid]],
    uint thread_index_in_simdgroup [[thread_index_in_simdgroup]]) {
  const uint dim = uint(k_shape[3]);
  const uint batch = threadgroups_per_grid.z / 2 / uint(k_shape[1]);
  const CommittedRow row = committed_row<STREAMS>(ring_shape, k_shape, state, streams, batch,
                                                  threadgroup_position_in_grid.y, threadgroup_position_in_grid.z);
  if (!row.exists) {
    return;
  }
  const device T* from = (row.values ? v : k) + row.from * dim;

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
    ring[row.to * dim + d] = int8_t(some ? rint(float(from[d]) * steps) : 0.0f);
  }
  if (thread_index_in_simdgroup == 0) {
    const size_t rows = size_t(2 * ring_shape[1]) * uint(k_shape[1]) * uint(ring_shape[3]);
    device float* scales = (device float*)(ring + rows * dim);
    scales[row.to] = !finite ? as_type<float>(0x7fc00000u) : some ? largest / 127 : 0.0f;
  }
}
