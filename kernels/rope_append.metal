// Formula   q, k: (x[2i], x[2i+1]) turned by the angle of their position; out[t] = tail[t], then the new rows
// Layout    q, k, v: B * L rows of heads * D, each apart or all in one row; rotation [L, D / 2, 2]; outs [B, H, T, D]
// Grid      one thread per V elements: (D / V, heads' rows of one batch, B); any threadgroup
// Numerics  products and sums in float32; rounded once, at the store; v and the tails are copied
// Traffic   every element read once and written once
// Limits    V is even and divides D
// Source    RoFormer, Su et al. 2021, interleaved pairs; the tail of caches/kv_cache.py
#include <metal_stdlib>

#include "common/packed.h"

using namespace metal;

template <typename T, int V>
METAL_FUNC Packed<T, V> rotated(Packed<T, V> x, const device float* rotation) {  // rotation: [V]
  const Packed<float, V> angle = load_packed<V>(rotation);
  Packed<T, V> y;
  for (int j = 0; j < V; j += 2) {
    const float first = float(x.v[j]);
    const float second = float(x.v[j + 1]);
    y.v[j] = T(first * angle.v[j] - second * angle.v[j + 1]);
    y.v[j + 1] = T(first * angle.v[j + 1] + second * angle.v[j]);
  }
  return y;
}

// sizes = {n_heads, n_kv_heads, n_new, n_tail, dim, is_packed}; packed: q, k and v side by side in each row of q
template <typename T, int V>
METAL_FUNC void rope_append(const device T* q,             // [B, n_new, q_row]
                            const device T* k,             // [B, n_new, kv_row]; packed: q
                            const device T* v,             // same
                            const device float* rotation,  // [n_new, dim]
                            const device T* tail_k,        // [B, n_kv_heads, n_tail, dim]
                            const device T* tail_v,        // same
                            const constant int* sizes,     // [6]
                            device T* out_q,               // [B, n_heads, n_new, dim]
                            device T* out_k,               // [B, n_kv_heads, n_tail + n_new, dim]
                            device T* out_v,               // same
                            uint b, uint row, uint piece) {
  const uint n_heads = sizes[0];
  const uint n_kv_heads = sizes[1];
  const uint n_new = sizes[2];
  const uint n_tail = sizes[3];
  const uint dim = sizes[4];
  const bool is_packed = sizes[5] != 0;
  const uint q_row = (n_heads + (is_packed ? 2 * n_kv_heads : 0)) * dim;
  const uint kv_row = is_packed ? q_row : n_kv_heads * dim;
  const uint d = piece * V;
  if (row < n_heads * n_new) {
    const uint head = row / n_new;
    const uint t = row % n_new;
    const device T* from = q + (size_t(b) * n_new + t) * q_row + head * dim + d;
    store_packed<V>(out_q + (size_t(b) * n_heads * n_new + row) * dim + d,
                    rotated<T, V>(load_packed<V>(from), rotation + t * dim + d));
    return;
  }
  row -= n_heads * n_new;
  const uint rows = n_kv_heads * (n_tail + n_new);
  const bool is_value = row >= rows;
  row -= is_value ? rows : 0;
  const uint head = row / (n_tail + n_new);
  const uint t = row % (n_tail + n_new);
  device T* to = (is_value ? out_v : out_k) + (size_t(b) * rows + row) * dim + d;
  if (t < n_tail) {
    const device T* tail = is_value ? tail_v : tail_k;
    store_packed<V>(to, load_packed<V>(tail + ((size_t(b) * n_kv_heads + head) * n_tail + t) * dim + d));
    return;
  }
  const uint before = is_packed ? (n_heads + (is_value ? n_kv_heads : 0)) * dim : 0;
  const device T* from = (is_value ? v : k) + (size_t(b) * n_new + t - n_tail) * kv_row + before + head * dim + d;
  Packed<T, V> x = load_packed<V>(from);
  if (!is_value) {
    x = rotated<T, V>(x, rotation + (t - n_tail) * dim + d);
  }
  store_packed<V>(to, x);
}

// Entry point: whole for the extension; between BODY and END for mx.fast.metal_kernel, which writes the signature.
template <typename T, int V>
[[kernel]] void rope_append_kernel(const device T* q [[buffer(0)]], const device T* k [[buffer(1)]],
                                   const device T* v [[buffer(2)]], const device float* rotation [[buffer(3)]],
                                   const device T* tail_k [[buffer(4)]], const device T* tail_v [[buffer(5)]],
                                   const constant int* sizes [[buffer(6)]], device T* out_q [[buffer(7)]],
                                   device T* out_k [[buffer(8)]], device T* out_v [[buffer(9)]],
                                   uint3 thread_position_in_grid [[thread_position_in_grid]]) {
  // BODY rope_append
  const uint3 at = thread_position_in_grid;
  rope_append<T, V>(q, k, v, rotation, tail_k, tail_v, sizes, out_q, out_k, out_v, at.z, at.y, at.x);
  // END
}
