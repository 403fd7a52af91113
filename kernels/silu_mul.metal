// Formula   y = g / (1 + exp(-g)) * u, x = [g, u]
// Layout    x: [rows, 2 * dim], y: [rows, dim], row-contiguous; sizes = {rows, dim}
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
METAL_FUNC void silu_mul(X x,          // [rows, 2 * dim]; X: pointer, device or constant
                         device T* y,  // [rows, dim]
                         uint dim, uint row, uint piece) {
  const uint d = piece * V;
  x += size_t(row) * 2 * dim;
  const Packed<T, V> gate = load_bounded<T, V>(x, d, dim);
  const Packed<T, V> up = load_bounded<T, V>(x + dim, d, dim);
  Packed<T, V> product;
  for (int j = 0; j < V; ++j) {
    product.v[j] = T(silu(float(gate.v[j])) * float(up.v[j]));
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
