// Formula   y = x * scale + shift
// Layout    x, y: [rows, dim] row-contiguous; scale, shift: [dim]
// Grid      [dim, rows]: a thread an element
// Numerics  float32, rounded once, at the store
// Traffic   reads x once and writes y once; scale and shift once a row, from cache
// Limits    any rows and dim
// Source    a worked example
#include <metal_stdlib>

template <typename T>
[[kernel]] void scale_shift_kernel(const device T* x [[buffer(0)]], const constant int* x_shape [[buffer(1)]],
                                   const device T* scale [[buffer(2)]], const device T* shift [[buffer(3)]],
                                   device T* y [[buffer(4)]],
                                   uint3 thread_position_in_grid [[thread_position_in_grid]]) {
  // BODY scale_shift
  const uint column = thread_position_in_grid.x;
  const uint i = thread_position_in_grid.y * uint(x_shape[1]) + column;
  y[i] = T(float(x[i]) * float(scale[column]) + float(shift[column]));
  // END
}
