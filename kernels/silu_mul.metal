// Formula   y = g / (1 + exp(-g)) * u, g and u in turn along x
// Layout    x: [rows, dim, 2], y: [rows, dim], row-contiguous; sizes = {rows, dim}
// Grid      one thread per V elements of y: (ceil(dim / V), rows); any threadgroup
// Numerics  float32; rounded once, at the store
// Traffic   every element read once and written once
// Limits    none
// Source    SwiGLU, Shazeer 2020; gate and up come from one matmul
#include <metal_stdlib>

#include "common/packed.h"
#include "common/silu.h"

using namespace metal;

template <typename T, int V, typename X>
METAL_FUNC void silu_mul(X x,          // [rows, dim, 2]; X: pointer, device or constant
                         device T* y,  // [rows, dim]
                         uint dim, uint row, uint piece) {
  const uint d = piece * V;
  x += size_t(row) * 2 * dim;
  const Packed<T, V> pairs[2] = {load_bounded<T, V>(x, 2 * d, 2 * dim), load_bounded<T, V>(x, 2 * d + V, 2 * dim)};
  Packed<T, V> product;
  for (int j = 0; j < V; ++j) {
    const Packed<T, V> from = pairs[2 * j / V];
    product.v[j] = T(silu(float(from.v[2 * j % V])) * float(from.v[2 * j % V + 1]));
  }
  store_bounded<T, V>(y + size_t(row) * dim, d, dim, product);
}

// Entry point: whole for the extension; between BODY and END for mx.fast.metal_kernel, which writes the signature.
template <typename T, int V>
[[kernel]] void silu_mul_kernel(const device T* x [[buffer(0)]], const constant int* sizes [[buffer(1)]],
                                device T* y [[buffer(2)]], uint3 thread_position_in_grid [[thread_position_in_grid]]) {
  // BODY silu_mul
  silu_mul<T, V>(x, y, uint(sizes[1]), thread_position_in_grid.y, thread_position_in_grid.x);
  // END
}
