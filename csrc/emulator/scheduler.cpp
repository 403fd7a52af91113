// How lanes take turns. A lane runs until it reaches a simdgroup operation or a barrier; the last lane of its simdgroup
// to arrive computes the operation for all.
#include "scheduler.h"

#include <algorithm>
#include <string>

#include "checks.h"
#include "counters.h"
#include "fiber.h"

namespace emulator {

Launch* launch = nullptr;

namespace {

const char* const kOperationNames[] = {
#define NAME(operation) #operation,
    MSL_SIMD_OPERATIONS(NAME)
#undef NAME
};

bool is_quad(unsigned operation) { return operation >= MSL_OP_quad_sum; }
bool needs_all_lanes(unsigned operation) {
  return operation == MSL_OP_simdgroup_load || operation == MSL_OP_simdgroup_store ||
         operation == MSL_OP_simdgroup_multiply_accumulate;
}

void continue_main(void** save) {
  launch->current = nullptr;
  vk_switch_fiber(save, launch->main_context);
}

// True if lane `i` may be missing from an operation that the lanes in `mask` reached: only for quads, of which none is.
bool may_miss(unsigned operation, unsigned i, uint32_t mask) {
  return is_quad(operation) && (mask >> (i / 4 * 4) & 15) == 0;
}

void check_divergence(const Simdgroup& group, const Lane& first, uint32_t mask) {
  const Launch& l = *launch;
  for (unsigned i = 0; i < group.size; ++i) {
    const Lane& other = *group.lanes[i];
    if (mask >> i & 1 || may_miss(first.operation, i, mask)) continue;
    if (other.state == State::done && !needs_all_lanes(first.operation)) continue;
    std::string detail = std::string(kOperationNames[first.operation]) + " is reached by " +
                         std::to_string(__builtin_popcount(mask)) + " of " + std::to_string(group.size) +
                         " lanes; lane " + std::to_string(other.ids.lane);
    detail += other.state == State::done         ? " has returned"
              : other.state == State::at_barrier ? " waits at a threadgroup barrier"
                                                 : std::string(" waits at ") + kOperationNames[other.operation];
    Finding f = l.finding("simd-divergence", detail, first.pc);
    f.lane = first.ids.index;
    f.other_pc = other.state == State::done ? -1 : l.relative(other.pc);
    f.other_lane = other.ids.index;
    launch->findings.add(std::move(f));
    return;
  }
  if (group.size < 32 && needs_all_lanes(first.operation)) {
    Finding f = l.finding("simd-divergence",
                          std::string(kOperationNames[first.operation]) + " needs 32 lanes, this simdgroup has " +
                              std::to_string(group.size),
                          first.pc);
    f.lane = first.ids.index;
    launch->findings.add(std::move(f));
  }
}

// No lane of the group can run on. Completes the simdgroup operation that waits, if one does; the leader comes back.
Lane* resolve(Simdgroup& group) {
  Launch& l = *launch;
  Lane* first = nullptr;
  for (unsigned i = 0; i < group.size && !first; ++i) {
    if (group.lanes[i]->state == State::at_simd) first = group.lanes[i];
  }
  if (l.counters && (first || group.size)) l.counters->meet(group.lanes[0]->ids.simdgroup);
  if (!first) return nullptr;
  uint32_t mask = 0;
  for (unsigned i = 0; i < group.size; ++i) {
    Lane* lane = group.lanes[i];
    if (lane->state != State::at_simd || lane->pc != first->pc || lane->operation != first->operation) continue;
    mask |= 1u << i;
    group.group.slots[i] = lane->slot;
    lane->state = State::ready;
    ++group.ready;
  }
  group.group.mask = mask;
  const uint32_t full = group.size == 32 ? ~0u : (1u << group.size) - 1;
  const bool partial = mask != full || (group.size < 32 && needs_all_lanes(first->operation));
  if (partial && l.options.mode != Mode::plain) check_divergence(group, *first, mask);
  ++l.totals.operations[first->operation];
  if (first->operation == MSL_OP_simdgroup_barrier) {
    ++group.epoch;
    if (first->mem_flags & 2) group.synced[0] = group.epoch;
    if (first->mem_flags & 1) group.synced[1] = group.epoch;
    return first;
  }
  first->granted = &group.group;
  return first;
}

// The current lane waits: the next of its simdgroup runs, or the leader of the operation that is now complete.
void block(Lane* lane) {
  Simdgroup& group = *lane->group;
  Lane* next = nullptr;
  if (--group.ready == 0) {
    next = resolve(group);
    if (next == nullptr) return continue_main(&lane->context);
    // Any of the arrived lanes may lead; the one that runs needs no switch.
    if (lane->state == State::ready && lane->pc == next->pc) {
      std::swap(lane->granted, next->granted);
      return;
    }
  } else {
    next = next_ready(group, lane->order);
  }
  continue_lane(&lane->context, next);
}

void check_expired(const void* pc) {
  Launch& l = *launch;
  ++l.totals.steps;
  if (!l.pending.empty()) settle_races(l);
  if (!l.expired && !(l.options.step_limit && l.totals.steps > l.options.step_limit)) return;
  l.findings.add(l.finding("step-limit", l.why_stopped(), pc));
  l.abandon();
}

}  // namespace

void continue_lane(void** save, Lane* next) {
  Launch& l = *launch;
  l.current = next;
  if (l.counters) l.counters->set_lane(next->ids.simdgroup, next->ids.lane);
  vk_switch_fiber(save, next->context);
}

Lane* next_ready(const Simdgroup& group, unsigned after) {
  for (unsigned i = 0, at = after; i < group.size; ++i) {
    if (++at >= group.size) at = 0;
    Lane* lane = group.order[at];
    if (lane->state == State::ready) return lane;
  }
  return nullptr;
}

void lane_main() {
  Launch& l = *launch;
  l.entry(l.buffers.data());
  if (!l.pending.empty()) settle_races(l);
  Lane* lane = l.current;
  lane->state = State::done;
  block(lane);
  __builtin_trap();  // a finished lane is never continued
}

Finding Launch::finding(std::string kind, std::string detail, const void* pc) const {
  Finding f;
  f.kind = std::move(kind);
  f.detail = std::move(detail);
  f.pc = pc ? relative(pc) : -1;
  if (current) {
    f.lane = current->ids.index;
    std::copy_n(current->ids.threadgroup_position, 3, f.threadgroup);
  }
  return f;
}

void Launch::abandon() {
  failed = true;
  void* unused;
  continue_main(&unused);
  __builtin_unreachable();
}

}  // namespace emulator

// What kernels call.

using emulator::launch;

extern "C" {

const msl_lane* msl_this_lane() { return &launch->current->ids; }

unsigned msl_lane_index() { return launch->current->ids.lane; }

const msl_group* msl_rendezvous(msl_slot* slot, unsigned operation) {
  const void* pc = __builtin_return_address(0);
  emulator::check_expired(pc);
  emulator::Lane* lane = launch->current;
  lane->pc = pc;
  lane->operation = operation;
  lane->slot = slot;
  lane->state = emulator::State::at_simd;
  emulator::block(lane);
  const msl_group* granted = lane->granted;
  lane->granted = nullptr;
  return granted;
}

void msl_simdgroup_barrier(unsigned mem_flags) {
  const void* pc = __builtin_return_address(0);
  emulator::check_expired(pc);
  emulator::Lane* lane = launch->current;
  lane->pc = pc;
  lane->operation = MSL_OP_simdgroup_barrier;
  lane->mem_flags = mem_flags;
  lane->state = emulator::State::at_simd;
  emulator::block(lane);
}

void msl_threadgroup_barrier(unsigned mem_flags) {
  const void* pc = __builtin_return_address(0);
  emulator::check_expired(pc);
  emulator::Lane* lane = launch->current;
  lane->pc = pc;
  lane->mem_flags = mem_flags;
  lane->state = emulator::State::at_barrier;
  emulator::block(lane);
}

void msl_fence(unsigned) { emulator::check_expired(__builtin_return_address(0)); }

void* msl_threadgroup_memory(unsigned id, unsigned long size, unsigned long alignment) {
  emulator::Launch& l = *launch;
  const unsigned slot = l.slot_of(id);
  if (slot < emulator::Memory::kSlots && l.started[slot]) return reinterpret_cast<void*>(l.memory[slot].start);
  const bool checked = l.options.mode != emulator::Mode::plain;
  if (slot >= emulator::Memory::kSlots || !l.memory[slot].live || l.memory[slot].size != size) {
    constexpr size_t kMost = size_t(16) << 20;  // far beyond what Metal allows, which is reported at the end
    if (slot >= emulator::Memory::kSlots || size > kMost) {
      const bool many = slot >= emulator::Memory::kSlots;
      const std::string what = many ? "more threadgroup variables than the emulator holds"
                                    : std::to_string(size) + " bytes of threadgroup memory; Metal allows 32768";
      l.findings.add(l.finding("threadgroup-memory-limit", what, __builtin_return_address(0)));
      l.abandon();
    }
    const auto granule = static_cast<unsigned>(alignment > 4 ? 4 : alignment);
    const std::string name = id < l.options.variables.size() ? l.options.variables[id] : "threadgroup variable";
    l.memory.place(slot, name, emulator::Space::threadgroup, size, granule);
    l.memory[slot].initialised = false;
    l.totals.threadgroup_memory_bytes += size;
    if (checked) l.memory[slot].cells.reset(size / granule + 1);
  } else if (checked) {
    l.memory[slot].cells.forget();
  }
  memset(reinterpret_cast<void*>(l.memory[slot].start), 0xff, size);
  l.started[slot] = true;
  return reinterpret_cast<void*>(l.memory[slot].start);
}

void* msl_threadgroup_argument(unsigned index) {
  emulator::Launch& l = *launch;
  const unsigned slot = emulator::Memory::kFirstArgument + index;
  emulator::Region& region = l.memory[slot];
  if (l.started[slot] || !region.live) return reinterpret_cast<void*>(region.start);
  if (l.options.mode != emulator::Mode::plain) region.cells.forget();
  memset(reinterpret_cast<void*>(region.start), 0xff, region.size);
  l.started[slot] = true;
  return reinterpret_cast<void*>(region.start);
}

}  // extern "C"
