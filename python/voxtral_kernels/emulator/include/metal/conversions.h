// The conversions that the compiler calls by name where the processor has no instruction for them.
#pragma once

#define MSL_LIBCALL extern "C" __attribute__((visibility("hidden"), used, nodebug, disable_sanitizer_instrumentation))

// To nearest, ties to even; a NaN stays one.
MSL_LIBCALL bfloat __truncsfbf2(float x) {
  uint bits = __builtin_bit_cast(uint, x);
  bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
  ushort upper = ushort(is_nan ? (bits >> 16) | 64 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  return __builtin_bit_cast(bfloat, upper);
}

#if defined(__x86_64__) && !defined(__F16C__)
MSL_LIBCALL float __extendhfsf2(half x) {
  ushort bits = __builtin_bit_cast(ushort, x);
  uint sign = uint(bits & 0x8000) << 16, exponent = bits >> 10 & 31, mantissa = bits & 1023;
  if (exponent == 31) return __builtin_bit_cast(float, sign | 0x7f800000 | mantissa << 13);
  if (exponent) return __builtin_bit_cast(float, sign | (exponent + 112) << 23 | mantissa << 13);
  float magnitude = float(mantissa) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}
MSL_LIBCALL half __truncsfhf2(float x) {
  uint bits = __builtin_bit_cast(uint, x), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  uint result;
  if (rest > 0x7f800000) {
    result = 0x7e00 | (rest >> 13 & 1023);
  } else if (rest >= 0x477ff000) {
    result = 0x7c00;
  } else if (rest >= 0x38800000) {
    result = (rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13;
  } else {
    // Adding 0.5 rounds a subnormal half at the right bit.
    result = __builtin_bit_cast(uint, __builtin_bit_cast(float, rest) + 0.5f) - 0x3f000000;
  }
  return __builtin_bit_cast(half, ushort(sign | result));
}
#endif
