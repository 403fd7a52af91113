// What instrumented code calls at each access; see checks.cpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace emulator {

struct Launch;

enum class Access { read, write, atomic_read, atomic_write, atomic_change };  // the last: a read too

// What a finding says of an address that is in no buffer.
struct Astray {
  const char* kind;
  std::string where;
};
Astray where_astray(uintptr_t address);
// Whether it is the current lane's own memory, or a `constant` table of the program.
bool is_private(const Launch& launch, uintptr_t address);

void check_access(uintptr_t address, size_t size, Access access, const void* pc);
// Decides the races that wait for the value that the last access wrote.
void settle_races(Launch& launch);
// After a run: outputs that nobody wrote, bytes beside buffers that somebody wrote.
void check_outputs(Launch& launch);

}  // namespace emulator
