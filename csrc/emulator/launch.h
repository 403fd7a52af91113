// One launch of a kernel: its lanes, its memory, what it may do and what it did. One runs at a time in a process.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "early_reads.h"
#include "findings.h"
#include "memory.h"
#include "metal/abi.h"

namespace emulator {

constexpr size_t kStackBytes = size_t(256) << 10;
constexpr unsigned kMostVariables = 1u << 20;  // of one text

enum class Mode { plain, checked, counted };
enum class State { ready, at_simd, at_barrier, done };

struct Simdgroup;

struct Lane {
  void* context = nullptr;
  State state = State::done;
  const void* pc = nullptr;  // where it waits
  unsigned operation = 0, mem_flags = 0;
  msl_slot* slot = nullptr;
  msl_group* granted = nullptr;  // set for the leader of a rendezvous
  Simdgroup* group = nullptr;
  unsigned order = 0;
  char* stack = nullptr;
  msl_lane ids{};
};

struct Simdgroup {
  std::array<Lane*, 32> lanes{};
  std::array<Lane*, 32> order{};
  unsigned size = 0, ready = 0;
  msl_group group{};
  uint32_t epoch = 1;                    // simdgroup barriers passed
  std::array<uint32_t, 2> synced{0, 0};  // epoch of the last one that ordered [threadgroup, device] memory
};

struct Module {
  void* handle = nullptr;
  uintptr_t start = 0, end = 0;
};

struct BufferSpec {
  unsigned index;
  std::string name;
  Space space;
  size_t size;
  unsigned granule;
  bool initialised;
  const void* data;  // null: filled with 0xff bytes
};

struct Options {
  Mode mode = Mode::checked;
  std::array<uint32_t, 3> grid{}, threadgroup{};
  uint64_t seed = 0;
  uint64_t step_limit = 0;  // 0: none
  double seconds_limit = 0;
  std::vector<std::pair<unsigned, size_t>> threadgroup_arguments;
  std::vector<std::string> variables;  // names of threadgroup variables, by id
};

struct Totals {
  uint64_t threads = 0, threadgroups = 0, barriers = 0, steps = 0;
  uint64_t threadgroup_memory_bytes = 0;
  std::array<uint64_t, MSL_OPERATION_COUNT> operations{};  // per simdgroup
};

using Entry = void (*)(void* const* buffers);

// A write over another lane's write: a race only if the value changes, which the next event of the lane can tell.
struct PendingRace {
  Finding finding;
  uintptr_t address;
  uint32_t size;
  std::array<unsigned char, 4> before;
};

class Counters;

struct Launch {
  Memory memory;
  Findings findings;
  Options options;
  Module module;
  Totals totals;
  std::unique_ptr<Counters> counters;
  Entry entry = nullptr;
  std::array<void*, Memory::kBuffers> buffers{};

  std::vector<PendingRace> pending;
  EarlyReads early_reads;
  std::vector<Lane> lanes;
  std::vector<Simdgroup> groups;
  Lane* current = nullptr;
  void* main_context = nullptr;
  bool failed = false;
  volatile bool expired = false;               // it is to be stopped
  volatile uint64_t unwatched_steps = 0;       // until then a step needs no look at limits; 0: each does, or is counted
  volatile bool interrupted = false;           // because the user wants so
  uint32_t threadgroup = 0;                    // linear
  uint32_t epoch = 1;                          // threadgroup barriers passed
  std::array<uint32_t, 2> synced{0, 0};        // epoch of the last one that ordered [threadgroup, device] memory
  std::array<bool, Memory::kSlots> started{};  // threadgroup memory that this threadgroup has
  std::vector<unsigned> slots;                 // of threadgroup variables by id; 0 for one that was not met yet
  unsigned next_slot = Memory::kFirstVariable;

  // A text may have many more variables than a kernel of it uses: slots go to those that a launch meets.
  unsigned slot_of(unsigned id) {
    if (id >= kMostVariables) return Memory::kSlots;
    if (id >= slots.size()) slots.resize(id + 1);
    if (!slots[id]) slots[id] = next_slot++;
    return slots[id];
  }

  int64_t relative(const void* pc) const {
    auto at = reinterpret_cast<uintptr_t>(pc);
    return at > module.start && at <= module.end ? static_cast<int64_t>(at - module.start) - 1 : -1;
  }
  const char* why_stopped() const {
    return interrupted ? "the launch was interrupted" : "the kernel does not come to an end";
  }
  // A finding at the current lane.
  Finding finding(std::string kind, std::string detail, const void* pc) const;
  // Leaves the kernel for good, from a lane.
  [[noreturn]] void abandon();
};

extern Launch* launch;  // the one that runs

void run(Launch& launch);

}  // namespace emulator
