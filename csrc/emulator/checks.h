// What instrumented code calls at each access; see checks.cpp.
#pragma once
#include <cstddef>
#include <cstdint>

namespace emulator {

struct Launch;

enum class Access { read, write, atomic_read, atomic_write };

void on_access(uintptr_t address, size_t size, Access access, const void* pc);
// Decides the races that wait for the value that the last access wrote.
void settle_races(Launch& launch);
// After a run: outputs that nobody wrote, bytes beside buffers that somebody wrote.
void check_outputs(Launch& launch);

}  // namespace emulator
