// packed.h's accesses for threadgroup memory; apart, since a launch brings every overload of a name that it uses.
#pragma once

template <int V, typename T>
METAL_FUNC Packed<T, V> load_packed(const threadgroup T* p) {
  return *(const threadgroup Packed<T, V>*)p;
}

template <int V, typename T>
METAL_FUNC void store_packed(threadgroup T* p, Packed<T, V> packed) {
  *(threadgroup Packed<T, V>*)p = packed;
}
