// 8x8 float matrices spread over a simdgroup: what is in threadgroup memory as T is widened on the way in, since
// simdgroup_load converts nothing. A lane holds the elements (row, column) and (row, column + 1); the four lanes of a
// row differ in bits 0 and 3. The placement is not in Apple's documents; MLX's own GEMM and attention rely on it.
#pragma once

#include <metal_simdgroup_matrix>

typedef simdgroup_matrix<float, 8, 8> Fragment;

struct FragmentPlace {
  int row;
  int column;

  METAL_FUNC FragmentPlace(uint lane) {
    const uint quad = lane / 4;
    row = int((quad & 4) + lane / 2 % 4);
    column = int((quad & 2) * 2 + lane % 2 * 2);
  }
};

// tile[row][column] of 8x8, row stride ld
template <typename T>
METAL_FUNC Fragment load_fragment(const threadgroup T* tile, int ld, FragmentPlace at) {
  Fragment f;
  f.thread_elements()[0] = float(tile[at.row * ld + at.column]);
  f.thread_elements()[1] = float(tile[at.row * ld + at.column + 1]);
  return f;
}

// The transpose: element (row, column) is tile[column][row].
template <typename T>
METAL_FUNC Fragment load_fragment_transposed(const threadgroup T* tile, int ld, FragmentPlace at) {
  Fragment f;
  f.thread_elements()[0] = float(tile[at.column * ld + at.row]);
  f.thread_elements()[1] = float(tile[(at.column + 1) * ld + at.row]);
  return f;
}

template <typename T>
METAL_FUNC void store_fragment(threadgroup T* tile, int ld, FragmentPlace at, float first, float second) {
  tile[at.row * ld + at.column] = T(first);
  tile[at.row * ld + at.column + 1] = T(second);
}

METAL_FUNC float row_max(float value) {
  value = max(value, simd_shuffle_xor(value, ushort(1)));
  return max(value, simd_shuffle_xor(value, ushort(8)));
}

METAL_FUNC float row_sum(float value) {
  value += simd_shuffle_xor(value, ushort(1));
  return value + simd_shuffle_xor(value, ushort(8));
}
