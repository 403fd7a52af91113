// metal_pack: normalised packing of colours and texels, into and out of float and half vectors.
#pragma once

namespace metal {

MSL_FN float msl_from_unorm(uint q, int bits) { return float(q & ((1u << bits) - 1)) / float((1u << bits) - 1); }
MSL_FN uint msl_to_unorm(float x, int bits) { return uint(rint(saturate(x) * float((1u << bits) - 1))); }
MSL_FN float msl_from_snorm(uint q, int bits) {
  return max(float(int(q << (32 - bits)) >> (32 - bits)) / float((1u << (bits - 1)) - 1), -1.0f);
}
MSL_FN uint msl_to_snorm(float x, int bits) {
  float held = x == x ? clamp(x, -1.0f, 1.0f) : 0.0f;
  return uint(int(rint(held * float((1u << (bits - 1)) - 1)))) & ((1u << bits) - 1);
}
MSL_FN float msl_from_srgb(float c) { return c <= 0.04045f ? c / 12.92f : pow((c + 0.055f) / 1.055f, 2.4f); }
MSL_FN float msl_to_srgb(float c) {
  c = saturate(c);
  return c < 0.0031308f ? 12.92f * c : 1.055f * pow(c, 1.0f / 2.4f) - 0.055f;
}

// Components of equal width from the lowest bits on, by `from` and `to`; `kind` is the middle of the functions' names.
#define MSL_PACK(kind, n, bits, type, from, to)                                \
  MSL_FN type##n unpack_##kind##_to_##type(uint packed) {                      \
    type##n v;                                                                 \
    for (int i = 0; i < n; ++i) v[i] = type(from(packed >> (i * bits), bits)); \
    return v;                                                                  \
  }                                                                            \
  MSL_FN uint pack_##type##_to_##kind(type##n v) {                             \
    uint packed = 0;                                                           \
    for (int i = 0; i < n; ++i) packed |= to(float(v[i]), bits) << (i * bits); \
    return packed;                                                             \
  }
// The colours of sRGB; its alpha is linear.
#define MSL_PACK_SRGB(type)                                                                       \
  MSL_FN type##4 unpack_unorm4x8_srgb_to_##type(uint packed) {                                    \
    type##4 v;                                                                                    \
    for (int i = 0; i < 3; ++i) v[i] = type(msl_from_srgb(msl_from_unorm(packed >> (i * 8), 8))); \
    v[3] = type(msl_from_unorm(packed >> 24, 8));                                                 \
    return v;                                                                                     \
  }                                                                                               \
  MSL_FN uint pack_##type##_to_srgb_unorm4x8(type##4 v) {                                         \
    uint packed = msl_to_unorm(float(v[3]), 8) << 24;                                             \
    for (int i = 0; i < 3; ++i) packed |= msl_to_unorm(msl_to_srgb(float(v[i])), 8) << (i * 8);   \
    return packed;                                                                                \
  }
// Red in the lowest bits of 10a2, in the highest of 565.
#define MSL_PACK_UNEVEN(type)                                                                                       \
  MSL_FN type##4 unpack_unorm10a2_to_##type(uint p) {                                                               \
    type##4 v;                                                                                                      \
    for (int i = 0; i < 3; ++i) v[i] = type(msl_from_unorm(p >> (i * 10), 10));                                     \
    v[3] = type(msl_from_unorm(p >> 30, 2));                                                                        \
    return v;                                                                                                       \
  }                                                                                                                 \
  MSL_FN uint pack_##type##_to_unorm10a2(type##4 v) {                                                               \
    uint packed = msl_to_unorm(float(v[3]), 2) << 30;                                                               \
    for (int i = 0; i < 3; ++i) packed |= msl_to_unorm(float(v[i]), 10) << (i * 10);                                \
    return packed;                                                                                                  \
  }                                                                                                                 \
  MSL_FN type##3 unpack_unorm565_to_##type(ushort p) {                                                              \
    return type##3 {type(msl_from_unorm(p >> 11, 5)), type(msl_from_unorm(p >> 5, 6)), type(msl_from_unorm(p, 5))}; \
  }                                                                                                                 \
  MSL_FN ushort pack_##type##_to_unorm565(type##3 v) {                                                              \
    return ushort(msl_to_unorm(float(v[0]), 5) << 11 | msl_to_unorm(float(v[1]), 6) << 5 |                          \
                  msl_to_unorm(float(v[2]), 5));                                                                    \
  }
#define MSL_PACKS(type)                                          \
  MSL_PACK(unorm4x8, 4, 8, type, msl_from_unorm, msl_to_unorm)   \
  MSL_PACK(unorm2x16, 2, 16, type, msl_from_unorm, msl_to_unorm) \
  MSL_PACK(snorm4x8, 4, 8, type, msl_from_snorm, msl_to_snorm)   \
  MSL_PACK(snorm2x16, 2, 16, type, msl_from_snorm, msl_to_snorm) \
  MSL_PACK_SRGB(type)                                            \
  MSL_PACK_UNEVEN(type)
MSL_PACKS(float)
MSL_PACKS(half)
#undef MSL_PACKS
#undef MSL_PACK_UNEVEN
#undef MSL_PACK_SRGB
#undef MSL_PACK

}  // namespace metal
