// V neighbouring elements in one access. A Packed value is aligned like one element, so a view that starts anywhere is
// allowed; what lies past `n` reads as zero and is not written.
#pragma once

template <typename T, int V>
struct Packed {
  T v[V];
};

// Bytes are read where they are aligned like the whole.
template <int V>
struct Packed<int8_t, V> {
  alignas(V) int8_t v[V];
};

template <int V, typename T>
METAL_FUNC Packed<T, V> load_packed(const device T* p) {
  return *(const device Packed<T, V>*)p;
}

template <typename To, int V, typename T>
METAL_FUNC Packed<To, V> load_as(const device T* p) {
  const Packed<T, V> given = load_packed<V>(p);
  Packed<To, V> converted;
#pragma unroll
  for (int j = 0; j < V; ++j) {
    converted.v[j] = To(given.v[j]);
  }
  return converted;
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
