// Context switch between the fibers that lanes run on: callee-saved registers and the stack pointer, nothing else.
#pragma once
#include <cstddef>

// Saves the running context to *save and continues the one at `to`, whose own call of this returns `result`.
extern "C" const void* vk_switch_fiber(void** save, void* to, const void* result);

namespace emulator {

// A context that starts in `entry` (which must not return) on the stack that ends at `top`.
void* new_fiber(char* top, void (*entry)());

}  // namespace emulator
