// The compiler builtins of Apple's front end that MLX's headers call.
#pragma once

#define MSL_BUILTIN_1(name, expression) \
  MSL_FN float __metal_##name(float x, int) { return metal::name(x); }
#define MSL_BUILTIN_2(name, expression) \
  MSL_FN float __metal_##name(float x, float y, int) { return metal::name(x, y); }
#define MSL_BUILTIN_3(name, expression) \
  MSL_FN float __metal_##name(float x, float y, float z, int) { return metal::name(x, y, z); }
MSL_FUNCTIONS_1(MSL_BUILTIN_1)
MSL_FUNCTIONS_2(MSL_BUILTIN_2)
MSL_FUNCTIONS_3(MSL_BUILTIN_3)
#undef MSL_BUILTIN_1
#undef MSL_BUILTIN_2
#undef MSL_BUILTIN_3
MSL_FN float __metal_fract(float x, int) { return metal::fract(x); }
MSL_FN float __metal_fma(float x, float y, float z) { return metal::fma(x, y, z); }
MSL_FN float __metal_nextafter(float x, float y) { return metal::nextafter(x, y); }
MSL_FN float __metal_ldexp(float x, int k, int) { return metal::ldexp(x, k); }
MSL_FN float __metal_frexp(float x, thread int* exponent) { return metal::frexp(x, *exponent); }

#define MSL_BUILTIN_SIMD_1(name)    \
  template <typename T>             \
  MSL_FN T __metal_##name(T data) { \
    return metal::name(data);       \
  }
MSL_BUILTIN_SIMD_1(simd_sum)
MSL_BUILTIN_SIMD_1(simd_product)
MSL_BUILTIN_SIMD_1(simd_min)
MSL_BUILTIN_SIMD_1(simd_max)
MSL_BUILTIN_SIMD_1(simd_prefix_inclusive_sum)
MSL_BUILTIN_SIMD_1(simd_prefix_exclusive_sum)
MSL_BUILTIN_SIMD_1(simd_prefix_inclusive_product)
MSL_BUILTIN_SIMD_1(simd_prefix_exclusive_product)
// MLX instantiates this one for bfloat through float as well; it has no meaning there beyond its bits.
template <typename T>
MSL_FN T __metal_simd_xor(T data) {
  if constexpr (metal::is_integral_v<T>)
    return metal::simd_xor(data);
  else
    return as_type<T>(metal::simd_xor(as_type<uint>(data)));
}
#undef MSL_BUILTIN_SIMD_1
#define MSL_BUILTIN_SIMD_2(name)                     \
  template <typename T>                              \
  MSL_FN T __metal_##name(T data, ushort argument) { \
    return metal::name(data, argument);              \
  }
MSL_BUILTIN_SIMD_2(simd_broadcast)
MSL_BUILTIN_SIMD_2(simd_shuffle)
MSL_BUILTIN_SIMD_2(simd_shuffle_xor)
MSL_BUILTIN_SIMD_2(simd_shuffle_up)
MSL_BUILTIN_SIMD_2(simd_shuffle_down)
MSL_BUILTIN_SIMD_2(simd_shuffle_rotate_up)
MSL_BUILTIN_SIMD_2(simd_shuffle_rotate_down)
#undef MSL_BUILTIN_SIMD_2
template <typename T>
MSL_FN T __metal_simd_shuffle_and_fill_up(T data, T fill, ushort delta, ushort modulo) {
  return metal::simd_shuffle_and_fill_up(data, fill, delta, modulo);
}
template <typename T>
MSL_FN T __metal_simd_shuffle_and_fill_down(T data, T fill, ushort delta, ushort modulo) {
  return metal::simd_shuffle_and_fill_down(data, fill, delta, modulo);
}
MSL_FN ushort __metal_get_simdgroup_size(ushort) { return 32; }
MSL_FN ushort __metal_get_thread_index_in_simdgroup(ushort) { return ushort(msl_lane_index()); }
