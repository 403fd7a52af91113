// metal_pack: normalised packing of colours and texels.
#pragma once

namespace metal {

#define MSL_UNORM(bits, n, T)                                                                                      \
  MSL_FN float##n unpack_unorm##n##x##bits##_to_float(uint packed) {                                               \
    float##n v;                                                                                                    \
    for (int i = 0; i < n; ++i) v[i] = float(packed >> (i * bits) & ((1u << bits) - 1)) / float((1u << bits) - 1); \
    return v;                                                                                                      \
  }                                                                                                                \
  MSL_FN uint pack_float_to_unorm##n##x##bits(float##n v) {                                                        \
    uint packed = 0;                                                                                               \
    for (int i = 0; i < n; ++i) packed |= uint(rint(saturate(v[i]) * float((1u << bits) - 1))) << (i * bits);      \
    return packed;                                                                                                 \
  }                                                                                                                \
  MSL_FN float##n unpack_snorm##n##x##bits##_to_float(uint packed) {                                               \
    float##n v;                                                                                                    \
    for (int i = 0; i < n; ++i) v[i] = max(float(T(packed >> (i * bits))) / float((1u << (bits - 1)) - 1), -1.0f); \
    return v;                                                                                                      \
  }                                                                                                                \
  MSL_FN uint pack_float_to_snorm##n##x##bits(float##n v) {                                                        \
    uint packed = 0;                                                                                               \
    for (int i = 0; i < n; ++i) {                                                                                  \
      int q = int(rint(clamp(v[i], -1.0f, 1.0f) * float((1u << (bits - 1)) - 1)));                                 \
      packed |= (uint(q) & ((1u << bits) - 1)) << (i * bits);                                                      \
    }                                                                                                              \
    return packed;                                                                                                 \
  }
MSL_UNORM(8, 4, char)
MSL_UNORM(16, 2, short)
#undef MSL_UNORM

}  // namespace metal
