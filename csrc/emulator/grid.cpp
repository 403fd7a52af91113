// The threadgroups of a launch, one after another, their lanes as fibers on one thread.
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>

#include "checks.h"
#include "faults.h"
#include "fiber.h"
#include "grid.h"
#include "scheduler.h"

namespace emulator {

namespace {

constexpr uint32_t kLaneLimit = 1024;

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
  explicit Random(uint64_t seed) : state(seed * 0x9e3779b97f4a7c15ull + 0x2545f4914f6cdd1dull) {
    if (state == 0) state = 1;  // of which it would not leave
  }
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

// Kept for the process.
char* make_stacks() {
  const size_t each = kStackBytes + page_bytes();
  void* p = mmap(nullptr, each * kLaneLimit, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  for (size_t i = 0; i < kLaneLimit; ++i) mprotect(static_cast<char*>(p) + i * each, page_bytes(), PROT_NONE);
  return static_cast<char*>(p);
}

// `at` is where the lane stands in its threadgroup.
void start_lane(Launch& l, uint32_t index, const uint32_t* at, const uint32_t* position, const uint32_t* size,
                const uint32_t* groups) {
  Lane& lane = l.lanes[index];
  const uint32_t count = size[0] * size[1] * size[2];
  const auto& full = l.options.threadgroup;
  msl_lane& ids = lane.ids;
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
  lane.group = &group;
  lane.index = lane.order = index % 32;
  lane.stack = l.stacks + index * (kStackBytes + page_bytes()) + page_bytes();
  // Stacks a power of two apart would share cache sets.
  lane.context = new_fiber(lane.stack + kStackBytes - 64 - index * 192 % 4096, lane_main);
}

// All lanes have returned or wait at a barrier. False if the barrier cannot be passed, or nobody waits.
bool pass_barrier(Launch& l, uint32_t count) {
  Lane *first = nullptr, *other = nullptr;
  uint32_t waiting = 0;
  for (const Simdgroup& group : l.groups) {
    const Meeting& barrier = group.barrier;
    waiting += static_cast<uint32_t>(std::popcount(barrier.waiting));
    if (!first && barrier.waiting) first = group.lanes[first_of(barrier.waiting)];
    if (!barrier.waiting || other || (barrier.alike && barrier.pc == first->pc)) continue;
    for (unsigned i = 0; i < group.size && !other; ++i) {
      if (barrier.waiting >> i & 1 && group.lanes[i]->pc != first->pc) other = group.lanes[i];
    }
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
  for (Simdgroup& group : l.groups) {
    group.make_ready(group.barrier.waiting);
    group.barrier.waiting = 0;
  }
  return true;
}

void run_threadgroup(Launch& l, const uint32_t* position, const uint32_t* size, const uint32_t* groups,
                     Random* random) {
  const uint32_t count = size[0] * size[1] * size[2];
  const uint32_t n_groups = (count + 31) / 32;
  for (Simdgroup& group : l.groups) group.size = group.ready = group.simd.waiting = group.barrier.waiting = 0;
  uint32_t at[3] = {0, 0, 0};
  for (uint32_t i = 0; i < count; ++i) {
    start_lane(l, i, at, position, size, groups);
    if (++at[0] < size[0]) continue;
    at[0] = 0;
    if (++at[1] < size[1]) continue;
    at[1] = 0;
    ++at[2];
  }
  for (Simdgroup& group : l.groups) group.ready = group.all();
  l.started.fill(false);
  l.releases.begin_threadgroup();
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

}  // namespace

Work::Work(const Options& options) : count_(threadgroups(options)) {
  if (count_ > UINT32_MAX) throw std::length_error("a grid of more than 2^32 - 1 threadgroups");
  if (options.seed == 0) return;
  const auto count = static_cast<uint32_t>(count_);
  Random random(options.seed);
  order_.resize(count <= kListed ? count : 0);
  for (uint32_t i = 0; i < order_.size(); ++i) order_[i] = i;
  if (!order_.empty()) {
    random.shuffle(order_.data(), count);
  } else {
    step_ = random.below(count) | 1;
  }
  while (std::gcd(step_, count_) != 1) step_ += 2;
}

bool Work::next(uint32_t* linear) {
  if (is_over_.load(std::memory_order_relaxed)) return false;
  const uint64_t i = taken_.fetch_add(1, std::memory_order_relaxed);
  if (i >= count_) return false;
  *linear = order_.empty() ? static_cast<uint32_t>(i * step_ % count_) : order_[i];
  return true;
}

void run_share(Launch& l, Work& work) {
  const auto &grid = l.options.grid, &full = l.options.threadgroup;
  uint32_t groups[3];
  for (int d = 0; d < 3; ++d) groups[d] = (grid[d] - 1) / full[d] + 1;
  launch = &l;
  for (uint32_t linear; !l.failed && work.next(&linear);) {
    l.threadgroup = linear;
    const uint32_t position[3] = {linear % groups[0], linear / groups[0] % groups[1], linear / groups[0] / groups[1]};
    uint32_t size[3];
    for (int d = 0; d < 3; ++d) size[d] = std::min(full[d], grid[d] - position[d] * full[d]);
    // Whoever runs a threadgroup, and when: the order of its lanes is its own.
    Random random(l.options.seed ^ ((uint64_t(linear) + 1) << 32));
    run_threadgroup(l, position, size, groups, l.options.seed ? &random : nullptr);
  }
  if (l.failed) work.stop();
  l.current = nullptr;
  launch = nullptr;
}

bool make_lanes(Launch& l) {
  const auto& full = l.options.threadgroup;
  const uint64_t threads = uint64_t(full[0]) * full[1] * full[2];
  if (threads > 0 && threads <= kLaneLimit) {
    if (l.stacks == nullptr) l.stacks = make_stacks();
    l.lanes.resize(threads);
    l.groups.resize((threads + 31) / 32);
    return true;
  }
  const std::string what = "a threadgroup of " + std::to_string(threads) + " threads; Metal allows 1 to 1024";
  l.findings.add(l.finding("threads-limit", what, nullptr));
  return false;
}

void conclude(Launch& l) {
  const uint64_t bytes = l.totals.threadgroup_memory_bytes;
  if (!l.failed && l.options.mode != Mode::plain && bytes > kThreadgroupMemoryLimit) {
    const std::string what = std::to_string(bytes) + " bytes of threadgroup memory; Metal allows 32768";
    l.findings.add(l.finding("threadgroup-memory-limit", what, nullptr));
  }
  l.early_reads.settle(l.findings, false);
  if (!l.failed) check_outputs(l);
}

void run(Launch& l) {
  if (!make_lanes(l)) return;
  Work work(l.options);
  {
    FaultGuard guard(l, l.options.seconds_limit);
    FaultGuard::Thread here(guard, l);
    run_share(l, work);
  }
  conclude(l);
}

}  // namespace emulator
