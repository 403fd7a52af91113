// V neighbouring elements in one access. A Packed value is aligned like one element, so a view that starts anywhere is
// allowed; what lies past `n` reads as zero and is not written.
#pragma once

template <typename T, int V>
struct Packed {
  T v[V];
};

template <int V, typename T>
METAL_FUNC Packed<T, V> load_packed(const device T* p) {
  return *(const device Packed<T, V>*)p;
}

// Small inputs arrive in `constant`: fewer than 8 elements, so the width does not matter.
template <int V, typename T>
METAL_FUNC Packed<T, V> load_packed(const constant T* p) {
  Packed<T, V> packed;
  for (int j = 0; j < V; ++j) {
    packed.v[j] = p[j];
  }
  return packed;
}

template <int V, typename T>
METAL_FUNC void store_packed(device T* p, Packed<T, V> packed) {
  *(device Packed<T, V>*)p = packed;
}

// p[i..i + V), P a pointer to T in device or constant
template <typename T, int V, typename P>
METAL_FUNC Packed<T, V> load_bounded(P p, uint i, uint n) {
  if (i + V <= n) {
    return load_packed<V>(p + i);
  }
  Packed<T, V> packed;
  for (int j = 0; j < V; ++j) {
    packed.v[j] = i + j < n ? p[i + j] : T(0);
  }
  return packed;
}

// p[i..i + V) = packed
template <typename T, int V>
METAL_FUNC void store_bounded(device T* p, uint i, uint n, Packed<T, V> packed) {
  if (i + V <= n) {
    store_packed<V>(p + i, packed);
    return;
  }
  for (int j = 0; j < V && i + j < n; ++j) {
    p[i + j] = packed.v[j];
  }
}
