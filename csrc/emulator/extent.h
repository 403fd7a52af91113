// Which addresses a loaded library has.
#pragma once
#include "launch.h"

namespace emulator {

// Sets start and end of the library that the address `inside` is of.
void find_extent(const void* inside, Module* module);

}  // namespace emulator
