// The functions that a compiled kernel imports from the runtime, by the name the compiler emits.
#pragma once
#include <span>

namespace emulator {

struct Export {
  const char* name;
  const void* address;
};
std::span<const Export> exports();

}  // namespace emulator
