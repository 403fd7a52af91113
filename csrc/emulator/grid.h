// A launch's threadgroups, and those who run them: one thread (run), or several (team.cpp).
#pragma once
#include <atomic>
#include <cstdint>
#include <vector>

#include "launch.h"

namespace emulator {

constexpr uint64_t kThreadgroupMemoryLimit = 32 << 10;

// Hands out the threadgroups of a launch, each once, in the order of the seed.
class Work {
 public:
  explicit Work(const Options& options);
  // False if none is left.
  bool next(uint32_t* linear);
  void stop() { is_over_.store(true, std::memory_order_relaxed); }

 private:
  uint64_t count_, step_ = 1;
  // A list of so many is kept only where it is short; of more, every n-th is taken, with n prime to their number.
  std::vector<uint32_t> order_;
  std::atomic<uint64_t> taken_{0};
  std::atomic<bool> is_over_{false};
};

// Runs threadgroups on this thread until none is left or the launch has failed.
void run_share(Launch& launch, Work& work);
// Lanes for the threadgroups, if their size is one that Metal allows; if not, that is a finding.
bool make_lanes(Launch& launch);
// What is found when all threadgroups have run.
void conclude(Launch& launch);

}  // namespace emulator
