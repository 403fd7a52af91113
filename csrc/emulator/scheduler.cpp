// How lanes take turns. A lane runs until it reaches a simdgroup operation or a barrier; the last lane of its simdgroup
// to arrive computes the operation for all.
#include "scheduler.h"

#include <algorithm>
#include <bit>
#include <string>

#include "checks.h"
#include "counters.h"
#include "fiber.h"
#include "shuffles.h"

namespace emulator {

thread_local constinit Launch* launch = nullptr;

namespace {

bool is_quad(unsigned operation) { return operation >= MSL_OP_quad_sum; }
bool needs_all_lanes(unsigned operation) {
  return operation == MSL_OP_simdgroup_load || operation == MSL_OP_simdgroup_store ||
         operation == MSL_OP_simdgroup_multiply_accumulate;
}

const msl_group* continue_main(void** save) {
  launch->current = nullptr;
  return static_cast<const msl_group*>(vk_switch_fiber(save, launch->main_context, nullptr));
}

// Switches to a lane, for whom the operation that it waits for is over; `granted` is not null for the one that leads.
inline const msl_group* go_on(Launch& l, void** save, Lane* next, const msl_group* granted) {
  l.current = next;
  if (l.counters) l.counters->set_lane(next->ids.simdgroup, next->ids.lane);
  return static_cast<const msl_group*>(vk_switch_fiber(save, next->context, granted));
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
    const bool at_barrier = group.barrier.waiting >> i & 1;
    const bool is_done = !at_barrier && !(group.simd.waiting >> i & 1);
    if (is_done && !needs_all_lanes(first.operation)) continue;
    std::string detail = std::string(operation_name(first.operation)) + " is reached by " +
                         std::to_string(std::popcount(mask)) + " of " + std::to_string(group.size) + " lanes; lane " +
                         std::to_string(other.ids.lane);
    detail += is_done      ? " has returned"
              : at_barrier ? " waits at a threadgroup barrier"
                           : std::string(" waits at ") + operation_name(other.operation);
    Finding f = l.finding("simd-divergence", detail, first.pc);
    f.lane = first.ids.index;
    f.other_pc = is_done ? -1 : l.relative(other.pc);
    f.other_lane = other.ids.index;
    launch->findings.add(std::move(f));
    return;
  }
  if (group.size < 32 && needs_all_lanes(first.operation)) {
    Finding f = l.finding("simd-divergence",
                          std::string(operation_name(first.operation)) + " needs 32 lanes, this simdgroup has " +
                              std::to_string(group.size),
                          first.pc);
    f.lane = first.ids.index;
    launch->findings.add(std::move(f));
  }
}

// The lanes that wait where the first of them does.
uint32_t alike(const Simdgroup& group, const Lane& first) {
  if (group.simd.alike) return group.simd.waiting;
  uint32_t mask = 0;
  for (unsigned i = 0; i < group.size; ++i) {
    const Lane& lane = *group.lanes[i];
    const bool waits = group.simd.waiting >> i & 1;
    if (waits && lane.pc == first.pc && lane.operation == first.operation) mask |= 1u << i;
  }
  return mask;
}

// No lane of the group of `lane`, which has come to a halt, can run on. Completes the simdgroup operation that waits,
// if one does, and goes on with the lane that leads it: any that arrived may, and the one that runs needs no switch.
const msl_group* resolve(Launch& l, Lane* lane) {
  Simdgroup& group = *lane->group;
  if (l.counters) l.counters->meet(group.lanes[0]->ids.simdgroup);
  if (group.simd.waiting == 0) return continue_main(&lane->context);
  Lane* first = group.lanes[first_of(group.simd.waiting)];
  const uint32_t mask = alike(group, *first);
  group.simd.waiting &= ~mask;
  group.make_ready(mask);
  group.group.mask = mask;
  const bool partial = mask != group.all() || (group.size < 32 && needs_all_lanes(first->operation));
  if (partial && l.options.mode != Mode::plain) check_divergence(group, *first, mask);
  if (l.options.mode == Mode::checked) note_absent(group, *first);
  fill_absent(group, *first);
  ++l.totals.operations[first->operation];
  const msl_group* granted = &group.group;
  if (first->operation == MSL_OP_simdgroup_barrier) {
    ++group.epoch;
    if (first->mem_flags & 2) group.synced[0] = group.epoch;
    if (first->mem_flags & 1) group.synced[1] = group.epoch;
    granted = nullptr;
  }
  if (mask >> lane->index & 1) return granted;
  return go_on(l, &lane->context, first, granted);
}

// The current lane waits: the next of its simdgroup runs, or the leader of the operation that is now complete.
inline const msl_group* halt(Launch& l, Lane* lane) {
  Simdgroup& group = *lane->group;
  group.ready &= ~(1u << lane->order);
  if (group.ready == 0) return resolve(l, lane);
  return go_on(l, &lane->context, next_ready(group, lane->order), nullptr);
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

void continue_lane(void** save, Lane* next) { go_on(*launch, save, next, nullptr); }

void lane_main() {
  Launch& l = *launch;
  l.entry(l.buffers.data());
  if (!l.pending.empty()) settle_races(l);
  halt(l, l.current);
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

// A lane that waits here leaves by the switch, which returns into the kernel.
const msl_group* msl_rendezvous(const void* in, void* out, unsigned argument, unsigned operation) {
  const void* pc = __builtin_return_address(0);
  emulator::Launch& l = *launch;
  if (!l.step()) emulator::check_expired(pc);
  emulator::Lane* lane = l.current;
  emulator::Simdgroup& group = *lane->group;
  group.group.in[lane->index] = in;
  group.group.out[lane->index] = out;
  group.group.argument[lane->index] = argument;
  group.simd.arrive(*lane, pc, operation);
  return emulator::halt(l, lane);
}

void msl_simdgroup_barrier(unsigned mem_flags) {
  const void* pc = __builtin_return_address(0);
  emulator::Launch& l = *launch;
  if (!l.step()) emulator::check_expired(pc);
  emulator::Lane* lane = l.current;
  lane->mem_flags = mem_flags;
  lane->group->simd.arrive(*lane, pc, MSL_OP_simdgroup_barrier);
  emulator::halt(l, lane);
}

void msl_threadgroup_barrier(unsigned mem_flags) {
  const void* pc = __builtin_return_address(0);
  emulator::Launch& l = *launch;
  if (!l.step()) emulator::check_expired(pc);
  emulator::Lane* lane = l.current;
  lane->mem_flags = mem_flags;
  lane->group->barrier.arrive(*lane, pc, 0);
  emulator::halt(l, lane);
}

void msl_fence(unsigned mem_flags) {
  emulator::check_expired(__builtin_return_address(0));
  if (mem_flags & 1) launch->releases.fence();
}

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
