// <simd/simd.h>: the names that a header shared with the host uses.
#pragma once

#define MSL_SIMD(T)                  \
  typedef metal::T##2 simd_##T##2;   \
  typedef metal::T##3 simd_##T##3;   \
  typedef metal::T##4 simd_##T##4;   \
  typedef metal::T##2 vector_##T##2; \
  typedef metal::T##3 vector_##T##3; \
  typedef metal::T##4 vector_##T##4; \
  namespace simd {                   \
  using metal::T##2;                 \
  using metal::T##3;                 \
  using metal::T##4;                 \
  }
MSL_SIMD(char)
MSL_SIMD(uchar)
MSL_SIMD(short)
MSL_SIMD(ushort)
MSL_SIMD(int)
MSL_SIMD(uint)
MSL_SIMD(long)
MSL_SIMD(ulong)
MSL_SIMD(half)
MSL_SIMD(float)
#undef MSL_SIMD
#define MSL_SIMD(T, size)                  \
  typedef metal::T##size simd_##T##size;   \
  typedef metal::T##size matrix_##T##size; \
  namespace simd {                         \
  using metal::T##size;                    \
  }
#define MSL_SIMDS(T) \
  MSL_SIMD(T, 2x2)   \
  MSL_SIMD(T, 2x3)   \
  MSL_SIMD(T, 2x4) MSL_SIMD(T, 3x2) MSL_SIMD(T, 3x3) MSL_SIMD(T, 3x4) MSL_SIMD(T, 4x2) MSL_SIMD(T, 4x3) MSL_SIMD(T, 4x4)
MSL_SIMDS(float)
MSL_SIMDS(half)
#undef MSL_SIMDS
#undef MSL_SIMD
