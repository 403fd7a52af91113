// Counted mode: what the accesses of a kernel would ask of the memory system.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "memory.h"

namespace emulator {

// Lanes run one after another here. Accesses of a simdgroup count as one where its lanes execute the same instruction
// for the same time since they last met (in a simdgroup operation or barrier), as a GPU would issue them.
class Counters {
 public:
  // Called by the access checks, for the lane set last.
  void record(Region& region, size_t offset, size_t size, bool write, const void* pc);
  void set_lane(unsigned simdgroup, unsigned lane) {
    simdgroup_ = simdgroup;
    lane_ = lane;
  }
  // The lanes of a simdgroup have met: groups its accesses.
  void meet(unsigned simdgroup);

 private:
  struct Entry {
    Region* region;
    const void* pc;
    uint32_t offset, size;
    bool write;
  };
  struct Group {
    Region* region = nullptr;
    std::vector<std::pair<uint32_t, uint32_t>> spans;  // offset, size
  };
  using Lanes = std::array<std::vector<Entry>, 32>;
  static bool uniform(const Lanes& lanes);
  static void count(Group& group);
  void meet_diverged(const Lanes& lanes);

  unsigned simdgroup_ = 0, lane_ = 0;
  std::array<Lanes, 32> log_;
  Group group_;  // scratch
};

}  // namespace emulator
