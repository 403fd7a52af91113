// One launch of a kernel: its lanes, its memory, what it may do and what it did. One runs at a time in a process.
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "early_reads.h"
#include "findings.h"
#include "memory.h"
#include "metal/abi.h"
#include "releases.h"

namespace emulator {

constexpr size_t kStackBytes = size_t(256) << 10;
constexpr unsigned kMostVariables = 1u << 20;  // of one text

enum class Mode { plain, checked, counted };

struct Simdgroup;

// What a switch needs stands first, in one cache line.
struct alignas(64) Lane {
  void* context = nullptr;
  Simdgroup* group = nullptr;
  const void* pc = nullptr;  // where it waits
  unsigned operation = 0, mem_flags = 0;
  unsigned index = 0;  // in its simdgroup
  unsigned order = 0;  // its turn there
  char* stack = nullptr;
  msl_lane ids{};
};

inline unsigned first_of(uint32_t lanes) { return static_cast<unsigned>(std::countr_zero(lanes)); }

// The lanes that wait at one kind of meeting: bit i is lane i. As a rule they all do at one place.
struct Meeting {
  uint32_t waiting = 0;
  bool alike = true;
  const void* pc = nullptr;
  unsigned operation = 0;

  void arrive(Lane& lane, const void* at, unsigned what) {
    lane.pc = at;
    lane.operation = what;
    if (waiting == 0) {
      alike = true;
      pc = at;
      operation = what;
    } else if (pc != at || operation != what) {
      alike = false;
    }
    waiting |= 1u << lane.index;
  }
};

// A lane is ready, waits at an operation of the simdgroup, waits at a barrier of the threadgroup, or has returned.
struct Simdgroup {
  uint32_t ready = 0;  // bit i is the lane whose turn is i
  unsigned size = 0;
  Meeting simd, barrier;
  std::array<Lane*, 32> order{};
  msl_group group{};
  std::array<Lane*, 32> lanes{};
  uint32_t epoch = 1;                    // simdgroup barriers passed
  std::array<uint32_t, 2> synced{0, 0};  // epoch of the last one that ordered [threadgroup, device] memory

  uint32_t all() const { return size == 32 ? ~0u : (1u << size) - 1; }
  void make_ready(uint32_t waiting) {
    if (waiting == all()) {
      ready = waiting;
      return;
    }
    for (; waiting; waiting &= waiting - 1) ready |= 1u << lanes[first_of(waiting)]->order;
  }
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
  int shares = -1;   // the index of the buffer whose memory it is, from `shares_from` bytes on; -1: it has its own
  size_t shares_from = 0;
};

struct Options {
  Mode mode = Mode::checked;
  std::array<uint32_t, 3> grid{}, threadgroup{};
  uint64_t seed = 0;
  unsigned threads = 1;
  uint64_t step_limit = 0;  // 0: none
  double seconds_limit = 0;
  std::vector<std::pair<unsigned, size_t>> threadgroup_arguments;
  std::vector<std::string> variables;  // names of threadgroup variables, by id
  int64_t absent_at = -1;              // the shuffle at which absent lanes give something else than they do as a rule
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

// Of a launch on several threads each has one, for its lanes and its threadgroups' memory; they share the buffers.
struct Launch {
  explicit Launch(Spacing spacing);
  ~Launch();
  // With the widest spacing that the system gives.
  static std::unique_ptr<Launch> make();

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
  Releases releases;
  Findings absent;  // shuffles from lanes that are not there: findings only if a result hangs on one
  std::vector<Lane> lanes;
  std::vector<Simdgroup> groups;
  Lane* current = nullptr;
  void* main_context = nullptr;
  char* stacks = nullptr;  // of all lanes, each above an unmapped page; never freed
  bool failed = false;
  bool is_shared = false;                      // other threads run threadgroups of the same launch
  bool used_atomics = false;                   // in device memory, where they are shared
  bool has_refined = false;                    // the history of some memory, which another thread's has not
  volatile bool expired = false;               // it is to be stopped
  volatile uint64_t unwatched_steps = 0;       // until then a step needs no look at anything; see watch()
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

  // Sets how many steps need no look at limits, at races that wait or at counters.
  void watch() {
    unwatched_steps = counters || !pending.empty() ? 0 : options.step_limit ? options.step_limit : UINT64_MAX;
    if (expired) unwatched_steps = 0;  // a signal may have said so in between
  }
  // Counts a step; false if it needs a look.
  bool step() {
    if (totals.steps >= unwatched_steps) return false;
    ++totals.steps;
    return true;
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

// The one that runs on this thread.
extern thread_local constinit Launch* launch;

void run(Launch& launch);

}  // namespace emulator
