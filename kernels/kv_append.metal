// Formula   out[b, h, t] = tail[b, h, t] for t < n_tail, new[b, h, t - n_tail] behind; keys and values alike
// Layout    tails [B, H, n_tail, D] row-contiguous; new keys, values [B, H, L, D] any strides; outs [B, H, n_tail + L, D]
// Grid      one thread per V elements: (D / V * (n_tail + L), B * H, 2), the last axis keys or values
// Numerics  a copy
// Traffic   every element read once and written once
// Limits    V divides D
// Source    the tail of the cache, see python/voxtral_kernels/cache.py
#include <metal_stdlib>

#include "common/packed.h"

using namespace metal;

template <typename T, int V>
METAL_FUNC void kv_append(const device T* tail,             // [rows, n_tail, dim]
                          const device T* added,            // [B, H, n_new, dim], element strides `strides`
                          const constant int64_t* strides,  // [4]
                          device T* out,                    // [rows, n_tail + n_new, dim]
                          uint n_heads, uint n_tail, uint n_new, uint dim, uint row, uint piece) {
  const uint t = piece * V / dim;
  const uint d = piece * V % dim;
  const size_t to = (size_t(row) * (n_tail + n_new) + t) * dim + d;
  if (t < n_tail) {
    store_packed<V>(out + to, load_packed<V>(tail + (size_t(row) * n_tail + t) * dim + d));
    return;
  }
  added += row / n_heads * strides[0] + row % n_heads * strides[1] + (t - n_tail) * strides[2];
  for (uint j = 0; j < V; ++j) {
    out[to + j] = added[(d + j) * strides[3]];
  }
}

// Entry point: whole for the extension; between BODY and END for mx.fast.metal_kernel, which writes the signature.
template <typename T, int V>
[[kernel]] void kv_append_kernel(const device T* tail_k [[buffer(0)]], const constant int* tail_k_shape [[buffer(1)]],
                                 const device T* tail_v [[buffer(2)]], const device T* k [[buffer(3)]],
                                 const constant int* k_shape [[buffer(4)]],
                                 const constant int64_t* k_strides [[buffer(5)]], const device T* v [[buffer(6)]],
                                 const constant int64_t* v_strides [[buffer(7)]], device T* out_k [[buffer(8)]],
                                 device T* out_v [[buffer(9)]],
                                 uint3 thread_position_in_grid [[thread_position_in_grid]]) {
  // BODY kv_append
  const uint3 at = thread_position_in_grid;
  if (at.z == 0) {
    kv_append<T, V>(tail_k, k, k_strides, out_k, k_shape[1], tail_k_shape[2], k_shape[2], k_shape[3], at.y, at.x);
  } else {
    kv_append<T, V>(tail_v, v, v_strides, out_v, k_shape[1], tail_k_shape[2], k_shape[2], k_shape[3], at.y, at.x);
  }
  // END
}
