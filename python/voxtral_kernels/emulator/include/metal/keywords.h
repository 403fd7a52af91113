// Metal's own words: address spaces and scalar types.
#pragma once

#define device __global
#define constant __constant
#define threadgroup __local
#define thread __private

// The space of a method's object where the text names none. A text that calls methods of temporaries is compiled with
// MSL_METHODS_ANYWHERE: clang keeps temporaries in no address space.
#ifdef MSL_METHODS_ANYWHERE
#  define MSL_METHOD_SPACE
#else
#  define MSL_METHOD_SPACE __private
#endif

// Functions of these headers carry no debug lines: an access inside them is reported at the caller's line.
#define MSL_FN inline __attribute__((always_inline, nodebug))
// Code that works on the emulator's own data, which the access checks must not see.
#define MSL_HIDDEN static __attribute__((noinline, nodebug, disable_sanitizer_instrumentation))

typedef __INT8_TYPE__ int8_t;
typedef __UINT8_TYPE__ uint8_t;
typedef __INT16_TYPE__ int16_t;
typedef __UINT16_TYPE__ uint16_t;
typedef __INT32_TYPE__ int32_t;
typedef __UINT32_TYPE__ uint32_t;
typedef long int64_t;
typedef unsigned long uint64_t;
typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;
typedef __UINTPTR_TYPE__ uintptr_t;
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef __bf16 bfloat;

// Words that C++ for OpenCL reserves and Metal leaves to its users.
#define atomic_int msl_atomic_int
#define atomic_uint msl_atomic_uint
#define atomic_float msl_atomic_float
#define atomic_ulong msl_atomic_ulong
#define atomic_long msl_atomic_long
#define atomic_flag msl_atomic_flag
#define global msl_word_global
#define local msl_word_local
#define generic msl_word_generic
#define pipe msl_word_pipe
#define read_only msl_word_read_only
#define write_only msl_word_write_only
#define read_write msl_word_read_write
#define event_t msl_word_event_t
#define sampler_t msl_word_sampler_t
#define queue_t msl_word_queue_t
