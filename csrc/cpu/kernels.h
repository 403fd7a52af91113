// The entry points that each instruction set provides. A kernel does one task of a launch; tasks are independent.
#pragma once

#include "args.h"

#define VOXTRAL_JOIN2(a, b) a##_##b
#define VOXTRAL_JOIN(a, b) VOXTRAL_JOIN2(a, b)
// VOXTRAL_ISA names the set that a source is compiled for: v2, v3, v4, v4bf16, neon.
#define VOXTRAL_KERNEL(stem) VOXTRAL_JOIN(stem, VOXTRAL_ISA)

namespace voxtral::cpu {

struct Kernels {
  const char* isa;
  Index lanes;  // floats in a vector
  void (*ada_rms_norm)(const AdaRmsNormArgs&, Index task, float* scratch);
  void (*causal_conv1d_gelu)(const CausalConv1dGeluArgs&, Index task, float* scratch);
  void (*sliding_window_attention)(const SlidingWindowAttentionArgs&, Index task, float* scratch);
};

#define VOXTRAL_DECLARE(isa)                                                              \
  void VOXTRAL_JOIN(ada_rms_norm, isa)(const AdaRmsNormArgs&, Index, float*);             \
  void VOXTRAL_JOIN(causal_conv1d_gelu, isa)(const CausalConv1dGeluArgs&, Index, float*); \
  void VOXTRAL_JOIN(sliding_window_attention, isa)(const SlidingWindowAttentionArgs&, Index, float*);

#if defined(__x86_64__)
VOXTRAL_DECLARE(v2)
VOXTRAL_DECLARE(v3)
VOXTRAL_DECLARE(v4)
VOXTRAL_DECLARE(v4bf16)
#else
VOXTRAL_DECLARE(neon)
#endif
#undef VOXTRAL_DECLARE

}  // namespace voxtral::cpu
