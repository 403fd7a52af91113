#include "fiber.h"

#include <cstdint>

#if defined(__APPLE__)
#  define SYMBOL(name) "_" name
#else
#  define SYMBOL(name) name
#endif

#if defined(__x86_64__)
// rbx, rbp, r12-r15 belong to the callee (System V ABI); the floating-point control words are never changed here.
asm(".text\n"
    ".globl " SYMBOL("vk_switch_fiber") "\n" SYMBOL("vk_switch_fiber") ":\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  movq %rdx, %rax\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n");
#elif defined(__aarch64__)
// x19-x29, the link register and d8-d15 belong to the callee (AAPCS64).
asm(".text\n.p2align 2\n"
    ".globl " SYMBOL("vk_switch_fiber") "\n" SYMBOL("vk_switch_fiber") ":\n"
    "  sub sp, sp, #160\n"
    "  stp x19, x20, [sp, #0]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n"
    "  stp x25, x26, [sp, #48]\n  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n  str x9, [x0]\n"
    "  mov sp, x1\n"
    "  mov x0, x2\n"
    "  ldp x19, x20, [sp, #0]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n"
    "  ldp x25, x26, [sp, #48]\n  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n"
    "  ret\n");
#else
#  error "the emulator's fibers are written for x86-64 and aarch64"
#endif
#if defined(__linux__)
asm(".section .note.GNU-stack,\"\",@progbits\n.text\n");
#endif

namespace emulator {

void* new_fiber(char* top, void (*entry)()) {
  auto sp = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t(15));
#if defined(__x86_64__)
  *--sp = nullptr;  // where a return address would stand: entry starts with rsp = 16n + 8, as after a call
  *--sp = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--sp = nullptr;
#else
  sp -= 20;
  for (int i = 0; i < 20; ++i) sp[i] = nullptr;
  sp[11] = reinterpret_cast<void*>(entry);  // x30
#endif
  return sp;
}

}  // namespace emulator
