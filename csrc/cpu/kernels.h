// What each op's source offers for each instruction set: how a call is cut into tasks, and one task.
#pragma once

#include "args.h"

#define VOXTRAL_JOIN2(a, b) a##_##b
#define VOXTRAL_JOIN(a, b) VOXTRAL_JOIN2(a, b)
// VOXTRAL_ISA names the set that a source is compiled for: v2, v3, v4, v4bf16, neon.
#define VOXTRAL_KERNEL(stem) VOXTRAL_JOIN(stem, VOXTRAL_ISA)

namespace voxtral::cpu {

struct Tasks {
  Index count;    // independent of each other
  Index scratch;  // floats that each needs
};

template <class Args>
struct Kernel {
  Index (*work)(const Args&);          // multiply-adds, or 0 where there is nothing to do
  Tasks (*cut)(Args&, Index threads);  // sets what the arguments say of a task
  void (*task)(const Args&, Index, float*);
};

// One instruction set. Its tables are constants: code for a set may run only where the processor has it.
struct Kernels {
  const char* isa;
  Index lanes;  // floats in a vector
#define VOXTRAL_FIELD(op, Args, isa) const Kernel<Args>* op;
  VOXTRAL_OPS(VOXTRAL_FIELD, )
#undef VOXTRAL_FIELD
};

#define VOXTRAL_DECLARE(op, Args, isa) extern const Kernel<Args> VOXTRAL_JOIN(op, isa);
#if defined(__x86_64__)
VOXTRAL_OPS(VOXTRAL_DECLARE, v2)
VOXTRAL_OPS(VOXTRAL_DECLARE, v3)
VOXTRAL_OPS(VOXTRAL_DECLARE, v4)
VOXTRAL_OPS(VOXTRAL_DECLARE, v4bf16)
#else
VOXTRAL_OPS(VOXTRAL_DECLARE, neon)
#endif
#undef VOXTRAL_DECLARE

}  // namespace voxtral::cpu
