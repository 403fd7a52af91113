// metal_integer: the integer functions, for every integer type.
#pragma once

namespace metal {

#define MSL_INTEGER_TYPES(X) X(char) X(uchar) X(short) X(ushort) X(int) X(uint) X(long) X(ulong)

#define MSL_INTEGER(T)                                                                                    \
  MSL_FN constexpr T min(T x, T y) { return y < x ? y : x; }                                              \
  MSL_FN constexpr T max(T x, T y) { return x < y ? y : x; }                                              \
  MSL_FN constexpr T clamp(T x, T low, T high) { return min(max(x, low), high); }                         \
  MSL_FN constexpr T min3(T x, T y, T z) { return min(min(x, y), z); }                                    \
  MSL_FN constexpr T max3(T x, T y, T z) { return max(max(x, y), z); }                                    \
  MSL_FN constexpr T median3(T x, T y, T z) { return max(min(x, y), min(max(x, y), z)); }                 \
  MSL_FN constexpr T abs(T x) { return x < T(0) ? T(-x) : x; }                                            \
  MSL_FN constexpr make_unsigned_t<T> absdiff(T x, T y) {                                                 \
    using U = make_unsigned_t<T>;                                                                         \
    return x < y ? U(U(y) - U(x)) : U(U(x) - U(y));                                                       \
  }                                                                                                       \
  MSL_FN constexpr T rotate(T x, T by) {                                                                  \
    using U = make_unsigned_t<T>;                                                                         \
    constexpr int bits = sizeof(T) * 8;                                                                   \
    int n = int(by & T(bits - 1));                                                                        \
    return n ? T(U(U(x) << n) | U(U(x) >> (bits - n))) : x;                                               \
  }                                                                                                       \
  MSL_FN constexpr T popcount(T x) { return T(__builtin_popcountg(make_unsigned_t<T>(x))); }              \
  MSL_FN constexpr T clz(T x) {                                                                           \
    constexpr int bits = sizeof(T) * 8;                                                                   \
    return x ? T(__builtin_clzg(make_unsigned_t<T>(x))) : T(bits);                                        \
  }                                                                                                       \
  MSL_FN constexpr T ctz(T x) { return x ? T(__builtin_ctzg(make_unsigned_t<T>(x))) : T(sizeof(T) * 8); } \
  MSL_FN constexpr T reverse_bits(T x) {                                                                  \
    using U = make_unsigned_t<T>;                                                                         \
    U from = U(x), to = 0;                                                                                \
    for (unsigned i = 0; i < sizeof(T) * 8; ++i, from >>= 1) to = U(to << 1) | U(from & 1);               \
    return T(to);                                                                                         \
  }                                                                                                       \
  MSL_FN constexpr T mulhi(T x, T y) {                                                                    \
    using wide = conditional_t<__is_signed(T), __int128, unsigned __int128>;                              \
    return T((wide(x) * wide(y)) >> (sizeof(T) * 8));                                                     \
  }                                                                                                       \
  MSL_FN constexpr T madhi(T x, T y, T z) { return T(mulhi(x, y) + z); }                                  \
  MSL_FN constexpr T hadd(T x, T y) { return T((__int128(x) + y) >> 1); }                                 \
  MSL_FN constexpr T rhadd(T x, T y) { return T((__int128(x) + y + 1) >> 1); }                            \
  MSL_FN constexpr T msl_saturated(__int128 x, thread T*) {                                               \
    return x < numeric_limits<T>::min()   ? numeric_limits<T>::min()                                      \
           : x > numeric_limits<T>::max() ? numeric_limits<T>::max()                                      \
                                          : T(x);                                                         \
  }                                                                                                       \
  MSL_FN constexpr T addsat(T x, T y) { return msl_saturated(__int128(x) + y, (thread T*)0); }            \
  MSL_FN constexpr T madsat(T x, T y, T z) {                                                              \
    using wide = conditional_t<__is_signed(T), __int128, unsigned __int128>;                              \
    wide r = wide(x) * y + z, most = numeric_limits<T>::max();                                            \
    return r > most                                               ? T(most)                               \
           : __is_signed(T) && r < wide(numeric_limits<T>::min()) ? numeric_limits<T>::min()              \
                                                                  : T(r);                                 \
  }                                                                                                       \
  MSL_FN constexpr T subsat(T x, T y) { return msl_saturated(__int128(x) - y, (thread T*)0); }            \
  MSL_FN constexpr T extract_bits(T x, uint offset, uint bits) {                                          \
    if (bits == 0) return T(0);                                                                           \
    constexpr uint all = sizeof(T) * 8;                                                                   \
    return T(T(x << (all - bits - offset)) >> (all - bits));                                              \
  }                                                                                                       \
  MSL_FN constexpr T insert_bits(T base, T insert, uint offset, uint bits) {                              \
    using U = make_unsigned_t<T>;                                                                         \
    U mask = bits >= sizeof(T) * 8 ? U(~U(0)) : U(((U(1) << bits) - 1) << offset);                        \
    return T((U(base) & U(~mask)) | (U(U(insert) << offset) & mask));                                     \
  }
MSL_INTEGER_TYPES(MSL_INTEGER)
#undef MSL_INTEGER

MSL_FN constexpr uint mul24(uint x, uint y) { return (x & 0xffffff) * (y & 0xffffff); }
MSL_FN constexpr int mul24(int x, int y) { return ((x << 8) >> 8) * ((y << 8) >> 8); }
MSL_FN constexpr uint mad24(uint x, uint y, uint z) { return mul24(x, y) + z; }
MSL_FN constexpr int mad24(int x, int y, int z) { return mul24(x, y) + z; }

}  // namespace metal
