// A launch: its threadgroups one after another, their lanes as fibers on one thread.
#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>

#include "checks.h"
#include "faults.h"
#include "fiber.h"
#include "scheduler.h"

namespace emulator {

namespace {

constexpr uint32_t kLaneLimit = 1024;
constexpr uint64_t kThreadgroupMemoryLimit = 32 << 10;

constexpr uint32_t kListed = 1u << 22;

uint64_t threadgroups(const Options& o) {
  uint64_t count = 1;
  for (int d = 0; d < 3; ++d) {
    const uint64_t n = (uint64_t(o.grid[d]) - 1) / o.threadgroup[d] + 1;
    if (count > UINT64_MAX / n) return UINT64_MAX;
    count *= n;
  }
  return count;
}

// xorshift64*: the order of lanes must be the same for a seed everywhere.
struct Random {
  uint64_t state;
  explicit Random(uint64_t seed) : state(seed * 0x9e3779b97f4a7c15ull + 0x2545f4914f6cdd1dull) {}
  uint32_t below(uint32_t n) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return static_cast<uint32_t>((state * 0x2545f4914f6cdd1dull) >> 33) % n;
  }
  template <typename T>
  void shuffle(T* items, uint32_t n) {
    for (uint32_t i = n; i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }
};

// The stacks of all lanes, each above an unmapped page; kept for the process.
char* stacks() {
  static char* pool = [] {
    const size_t each = kStackBytes + page_bytes();
    void* p = mmap(nullptr, each * kLaneLimit, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    for (size_t i = 0; i < kLaneLimit; ++i) mprotect(static_cast<char*>(p) + i * each, page_bytes(), PROT_NONE);
    return static_cast<char*>(p);
  }();
  return pool;
}

void start_lane(Launch& l, uint32_t index, const uint32_t* position, const uint32_t* size, const uint32_t* groups) {
  Lane& lane = l.lanes[index];
  const uint32_t count = size[0] * size[1] * size[2];
  const auto& full = l.options.threadgroup;
  msl_lane& ids = lane.ids;
  const uint32_t at[3] = {index % size[0], index / size[0] % size[1], index / size[0] / size[1]};
  for (int d = 0; d < 3; ++d) {
    ids.position_in_threadgroup[d] = at[d];
    ids.threadgroup_position[d] = position[d];
    ids.position_in_grid[d] = position[d] * full[d] + at[d];
    ids.threadgroups[d] = groups[d];
    ids.grid[d] = l.options.grid[d];
    ids.threads[d] = size[d];
    ids.dispatch_threads[d] = full[d];
  }
  ids.index = index;
  ids.lane = index % 32;
  ids.simdgroup = index / 32;
  ids.simdgroups = (count + 31) / 32;
  ids.dispatch_simdgroups = (full[0] * full[1] * full[2] + 31) / 32;
  Simdgroup& group = l.groups[index / 32];
  group.lanes[index % 32] = group.order[index % 32] = &lane;
  ++group.size;
  ++group.ready;
  lane.group = &group;
  lane.state = State::ready;
  lane.granted = nullptr;
  lane.order = index % 32;
  lane.stack = stacks() + index * (kStackBytes + page_bytes()) + page_bytes();
  // Stacks a power of two apart would share cache sets.
  lane.context = new_fiber(lane.stack + kStackBytes - 64 - index * 192 % 4096, lane_main);
}

// All lanes have returned or wait at a barrier. False if the barrier cannot be passed, or nobody waits.
bool pass_barrier(Launch& l, uint32_t count) {
  Lane *first = nullptr, *other = nullptr;
  uint32_t waiting = 0;
  for (uint32_t i = 0; i < count; ++i) {
    Lane& lane = l.lanes[i];
    if (lane.state != State::at_barrier) continue;
    ++waiting;
    if (!first) first = &lane;
    if (lane.pc != first->pc && !other) other = &lane;
  }
  if (!first) return false;
  if (waiting != count || other) {
    Finding f =
        l.finding("barrier-divergence",
                  std::to_string(waiting) + " of " + std::to_string(count) + " lanes wait at a threadgroup barrier, " +
                      (other ? "some of them at another one" : "the others have returned"),
                  first->pc);
    f.lane = first->ids.index;
    std::copy_n(first->ids.threadgroup_position, 3, f.threadgroup);
    if (other) f.other_pc = l.relative(other->pc), f.other_lane = other->ids.index;
    l.findings.add(std::move(f));
    l.failed = true;
    return false;
  }
  ++l.epoch;
  ++l.totals.barriers;
  if (first->mem_flags & 2) l.synced[0] = l.epoch;
  if (first->mem_flags & 1) l.synced[1] = l.epoch;
  for (uint32_t i = 0; i < count; ++i) {
    l.lanes[i].state = State::ready;
    ++l.lanes[i].group->ready;
  }
  return true;
}

void run_threadgroup(Launch& l, const uint32_t* position, const uint32_t* size, const uint32_t* groups,
                     Random* random) {
  const uint32_t count = size[0] * size[1] * size[2];
  const uint32_t n_groups = (count + 31) / 32;
  for (uint32_t i = 0; i < n_groups; ++i) l.groups[i].size = l.groups[i].ready = 0;
  for (uint32_t i = 0; i < count; ++i) start_lane(l, i, position, size, groups);
  l.started.fill(false);
  ++l.totals.threadgroups;
  l.totals.threads += count;
  std::vector<uint32_t> order(n_groups);
  for (uint32_t i = 0; i < n_groups; ++i) order[i] = i;
  do {
    if (random) {
      random->shuffle(order.data(), n_groups);
      for (uint32_t g = 0; g < n_groups; ++g) {
        random->shuffle(l.groups[g].order.data(), l.groups[g].size);
        for (unsigned i = 0; i < l.groups[g].size; ++i) l.groups[g].order[i]->order = i;
      }
    }
    for (uint32_t g : order) {
      if (l.groups[g].ready == 0) continue;
      continue_lane(&l.main_context, next_ready(l.groups[g], l.groups[g].size - 1));
      if (l.failed) return;
    }
  } while (pass_barrier(l, count));
  l.early_reads.settle(l.findings, true);
  ++l.epoch;  // nothing orders this threadgroup and the next: their stamps only must not look alike
}

void run_grid(Launch& l) {
  const auto &grid = l.options.grid, &full = l.options.threadgroup;
  uint32_t groups[3];
  for (int d = 0; d < 3; ++d) groups[d] = (grid[d] - 1) / full[d] + 1;
  const auto count = static_cast<uint32_t>(threadgroups(l.options));
  Random random(l.options.seed);
  const bool shuffled = l.options.seed != 0;
  // A list of so many is kept only where it is short; of more, every n-th is taken, with n prime to their number.
  std::vector<uint32_t> order(shuffled && count <= kListed ? count : 0);
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  if (!order.empty()) random.shuffle(order.data(), count);
  uint64_t step = shuffled && order.empty() ? random.below(count) | 1 : 1;
  while (std::gcd(step, uint64_t(count)) != 1) step += 2;
  for (uint64_t i = 0; i < count; ++i) {
    const auto linear = order.empty() ? static_cast<uint32_t>(i * step % count) : order[i];
    l.threadgroup = linear;
    const uint32_t position[3] = {linear % groups[0], linear / groups[0] % groups[1], linear / groups[0] / groups[1]};
    uint32_t size[3];
    for (int d = 0; d < 3; ++d) size[d] = std::min(full[d], grid[d] - position[d] * full[d]);
    run_threadgroup(l, position, size, groups, shuffled ? &random : nullptr);
    if (l.failed) return;
  }
}

}  // namespace

void run(Launch& l) {
  const auto& full = l.options.threadgroup;
  const uint64_t threads = uint64_t(full[0]) * full[1] * full[2];
  if (threads == 0 || threads > kLaneLimit) {
    l.findings.add(l.finding(
        "threads-limit", "a threadgroup of " + std::to_string(threads) + " threads; Metal allows 1 to 1024", nullptr));
    return;
  }
  if (threadgroups(l.options) > UINT32_MAX) throw std::length_error("a grid of more than 2^32 - 1 threadgroups");
  l.lanes.resize(threads);
  l.groups.resize((threads + 31) / 32);
  launch = &l;
  {
    FaultGuard guard(l.options.seconds_limit);
    run_grid(l);
    l.current = nullptr;
  }
  if (!l.failed && l.options.mode != Mode::plain && l.totals.threadgroup_memory_bytes > kThreadgroupMemoryLimit) {
    l.findings.add(l.finding(
        "threadgroup-memory-limit",
        std::to_string(l.totals.threadgroup_memory_bytes) + " bytes of threadgroup memory; Metal allows 32768",
        nullptr));
  }
  l.early_reads.settle(l.findings, false);
  if (!l.failed) check_outputs(l);
  launch = nullptr;
}

}  // namespace emulator
