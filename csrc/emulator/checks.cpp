// The access checks: bounds, writes to inputs, uninitialised reads and data races. Two accesses of one granule race if
// one of them writes, not both are atomic, and nothing orders them: they are by different lanes, with no threadgroup
// barrier (for lanes of one simdgroup: no simdgroup barrier either) in between that names the kind of memory. Nothing
// orders two threadgroups. Two writes of the same value are let pass, as compute-sanitizer does. A granule is 4 bytes or an element of the buffer,
// until an access touches less.
#include "checks.h"

#include <cstring>
#include <string>

#include "counters.h"
#include "launch.h"

namespace emulator {

namespace {

uint32_t lane_of(const Stamp& s) { return s.lane - 1u; }
uint32_t group_of(const Stamp& s) { return lane_of(s) / 32; }
uint32_t threadgroup_of(const Stamp& s) { return s.threadgroup; }

// What stands between an earlier access and one by the current lane.
enum class Order { ordered, wrong_flags, unordered };

Order order_after(const Launch& l, const Stamp& earlier, const Stamp& now, unsigned kind) {
  if (earlier.same_lane(now)) return Order::ordered;
  if (threadgroup_of(earlier) != l.threadgroup) {
    return l.releases.has(threadgroup_of(earlier)) ? Order::ordered : Order::unordered;
  }
  if (earlier.threadgroup_epoch < l.synced[kind]) return Order::ordered;
  const bool passed = earlier.threadgroup_epoch < l.epoch;
  if (lane_of(earlier) / 32 == lane_of(now) / 32) {
    const Simdgroup& group = *l.current->group;
    if (earlier.simdgroup_epoch < group.synced[kind]) return Order::ordered;
    if (earlier.simdgroup_epoch < group.epoch) return Order::wrong_flags;
  }
  return passed ? Order::wrong_flags : Order::unordered;
}

[[noreturn]] void fatal(Finding finding) {
  launch->findings.add(std::move(finding));
  launch->abandon();
}

bool is_write(Access access) { return access != Access::read && access != Access::atomic_read; }

std::string bytes_of(Access access, size_t size) {
  const bool read = !is_write(access);
  return (read ? "read of " : "write of ") + std::to_string(size) + (size == 1 ? " byte" : " bytes");
}

bool is_own_stack(const Launch& l, uintptr_t address) {
  return address - reinterpret_cast<uintptr_t>(l.current->stack) < kStackBytes;
}
// Tables, and what connects the kernel with the runtime: whoever may write there calls what he likes.
bool is_in_module(const Launch& l, uintptr_t address) { return address >= l.module.start && address < l.module.end; }

[[noreturn]] void out_of_bounds(Launch& l, uintptr_t address, size_t size, Access access, const void* pc) {
  const Region* region = l.memory.left_by(address, size);
  if (region == nullptr) fatal(l.finding("wild-pointer", bytes_of(access, size) + " in no buffer", pc));
  Finding f =
      l.finding("out-of-bounds", bytes_of(access, size) + ", the buffer has " + std::to_string(region->size), pc);
  f.buffer = region->name;
  f.offset = static_cast<int64_t>(address - region->start);
  fatal(std::move(f));
}

void outside(uintptr_t address, size_t size, Access access, const void* pc) {
  const Launch& l = *launch;
  const bool writes = is_write(access);
  if (is_own_stack(l, address) || (!writes && is_in_module(l, address))) return;
  if (is_in_module(l, address)) {
    fatal(l.finding("write-to-input", bytes_of(access, size) + " to what the program keeps for itself", pc));
  }
  if (launch->memory.left_by(address, size) != nullptr) out_of_bounds(*launch, address, size, access, pc);
  const Astray astray = where_astray(address);
  fatal(l.finding(astray.kind, bytes_of(access, size) + " " + astray.where, pc));
}

void report_race(const Region& region, size_t offset, const Stamp& other, bool other_wrote, Access access, Order order,
                 const void* pc) {
  const bool read = !is_write(access);
  const bool far = threadgroup_of(other) != launch->threadgroup;
  if (!read && !other_wrote) launch->early_reads.explained(region, offset);
  std::string what = read ? "reads what " : "writes what ";
  what += far ? "a lane of another threadgroup " : "another lane ";
  what += other_wrote ? "wrote" : "read";
  const char* kind = order == Order::wrong_flags ? "missing-mem-flags" : "race";
  if (order == Order::wrong_flags) {
    what += region.on_device() ? ", and the barrier between them lacks mem_device"
                               : ", and the barrier between them lacks mem_threadgroup";
  } else {
    what += far ? ", and nothing orders two threadgroups" : ", and no barrier stands between them";
  }
  Finding f = launch->finding(kind, what, pc);
  f.buffer = region.name;
  f.offset = static_cast<int64_t>(offset);
  f.other_pc = other.pc == 0 ? -1 : static_cast<int64_t>(other.pc);
  f.other_lane = lane_of(other);
  f.other_threadgroup = threadgroup_of(other);
  if (read || !other_wrote) return launch->findings.add(std::move(f));
  PendingRace race{std::move(f), region.start + offset, region.granule, {}};
  memcpy(race.before.data(), reinterpret_cast<const void*>(race.address), race.size);
  launch->pending.push_back(std::move(race));
  launch->watch();
}

// Of several readers in one simdgroup the last stands for all: any of them is another lane.
Stamp reader(const Cell& cell, int i, const Stamp& now) {
  Stamp earlier = cell.reads[i];
  if (earlier.same_lane(now) && cell.shared_read[i]) {
    earlier.lane = static_cast<uint16_t>(now.lane + (lane_of(now) % 32 ? -1 : 1));
  }
  return earlier;
}

void note_read(Cell& cell, const Stamp& now, unsigned kind) {
  for (int i = 0; i < 2; ++i) {
    Stamp& slot = cell.reads[i];
    if (!slot.nobody() && threadgroup_of(slot) != threadgroup_of(now)) {
      cell.far_read = slot;
      slot = Stamp{};
    }
  }
  // The best place: where the simdgroup reads at this time, then one of nobody whom a write could race with, then one of
  // the same simdgroup. If both are of another, so that no write races with neither, this read need not be kept.
  int best = -1, best_rank = 0;
  for (int i = 0; i < 2; ++i) {
    const Stamp& slot = cell.reads[i];
    const bool same_group = !slot.nobody() && group_of(slot) == group_of(now);
    int rank = same_group ? 1 : 0;
    if (same_group && slot.threadgroup_epoch == now.threadgroup_epoch && slot.simdgroup_epoch == now.simdgroup_epoch) {
      rank = 3;
    } else if (slot.nobody() || order_after(*launch, reader(cell, i, now), now, kind) == Order::ordered) {
      rank = 2;
    }
    if (rank > best_rank) best = i, best_rank = rank;
  }
  if (best < 0 && group_of(cell.reads[0]) == group_of(cell.reads[1])) best = 1;
  if (best < 0) return;
  const bool same_time = best_rank == 3;
  cell.shared_read[best] = same_time && (cell.shared_read[best] || !cell.reads[best].same_lane(now));
  cell.reads[best] = now;
}

// Races of a write with the reads that the cell remembers.
void check_reads(const Region& region, size_t offset, const Cell& cell, const Stamp& now, Access access, unsigned kind,
                 const void* pc) {
  for (int i = 0; i < 2; ++i) {
    const Stamp earlier = reader(cell, i, now);
    if (earlier.nobody()) continue;
    const Order order = order_after(*launch, earlier, now, kind);
    if (order != Order::ordered) return report_race(region, offset, earlier, false, access, order, pc);
  }
  if (!cell.far_read.nobody() && order_after(*launch, cell.far_read, now, kind) == Order::unordered) {
    report_race(region, offset, cell.far_read, false, access, Order::unordered, pc);
  }
}

void check_cell(Region& region, size_t offset, Cell& cell, const Stamp& now, Access access, const void* pc) {
  const unsigned kind = region.on_device() ? 1 : 0;
  const bool atomic = access != Access::read && access != Access::write;
  const bool writes = is_write(access);
  bool after_other = false;  // the last write is another lane's, and nothing orders this access behind it
  if (cell.write.nobody()) {
    if ((!writes || access == Access::atomic_change) && !region.initialised) {
      Finding f = launch->finding("uninitialised-read", "reads what nobody has written", pc);
      f.buffer = region.name;
      f.offset = static_cast<int64_t>(offset);
      launch->early_reads.add(region, std::move(f), launch->findings);
    }
  } else if (writes || !(atomic && cell.atomic_write)) {
    const Order order = order_after(*launch, cell.write, now, kind);
    after_other = order != Order::ordered;
    if (after_other && !(atomic && cell.atomic_write)) {
      report_race(region, offset, cell.write, true, access, order, pc);
    }
  }
  if (writes) {
    check_reads(region, offset, cell, now, access, kind, pc);  // atomic reads are not among them
    if (after_other) {
      cell.other_write = cell.write;
      cell.other_atomic = cell.atomic_write;
    } else if (!cell.other_write.nobody()) {
      const Order order = order_after(*launch, cell.other_write, now, kind);
      if (order == Order::ordered) {
        cell.other_write = Stamp{};
      } else if (!(atomic && cell.other_atomic)) {
        report_race(region, offset, cell.other_write, true, access, order, pc);
      }
    }
    cell.write = now;
    cell.atomic_write = atomic;
  } else if (!atomic) {
    note_read(cell, now, kind);
  }
}

}  // namespace

void check_access(uintptr_t address, size_t size, Access access, const void* pc) {
  Launch& l = *launch;
  if (l.current == nullptr) return;
  if (!l.pending.empty()) settle_races(l);
  ++l.totals.steps;
  if (l.expired || (l.options.step_limit && l.totals.steps > l.options.step_limit)) {
    fatal(l.finding("step-limit", l.why_stopped(), pc));
  }
  Region* region = l.memory.find(address);
  if (region == nullptr) return outside(address, size, access, pc);
  const auto offset = static_cast<int64_t>(address - region->start);
  if (offset < 0 || static_cast<size_t>(offset) + size > region->size || !region->live) {
    out_of_bounds(l, address, size, access, pc);
  }
  const bool writes = is_write(access);
  if (writes && (region->space == Space::input || region->space == Space::constant)) {
    Finding f = l.finding("write-to-input", bytes_of(access, size), pc);
    f.buffer = region->name;
    f.offset = offset;
    fatal(std::move(f));
  }
  if (l.counters) l.counters->record(*region, static_cast<size_t>(offset), size, writes, pc);
  if (region->cells.size() == 0) return;
  if (access != Access::read && access != Access::write && region->on_device()) {
    l.releases.meet(address, l.threadgroup, access != Access::atomic_read);
  }
  // An access to a part of a granule: from here on parts count.
  const size_t ends = static_cast<size_t>(offset) | size;
  if (ends & (region->granule - 1)) {
    region->refine(ends & 1 ? 1 : 2);
    l.has_refined = true;
  }
  Stamp now;
  now.threadgroup = l.threadgroup;
  now.lane = static_cast<uint16_t>(l.current->ids.index + 1);
  now.pc = static_cast<uint32_t>(l.relative(pc));
  now.threadgroup_epoch = l.epoch;
  now.simdgroup_epoch = l.current->group->epoch;
  const size_t first = static_cast<size_t>(offset) / region->granule;
  const size_t last = (static_cast<size_t>(offset) + size - 1) / region->granule;
  for (size_t i = first; i <= last; ++i) {
    check_cell(*region, i * region->granule, region->cells[i], now, access, pc);
  }
}

bool is_private(const Launch& l, uintptr_t address) { return is_own_stack(l, address) || is_in_module(l, address); }

Astray where_astray(uintptr_t address) {
  // A null pointer and an index of 32 bits; nothing of the process lies there.
  constexpr auto kReach = int64_t{1} << 32;
  const auto from_null = static_cast<int64_t>(address);
  if (from_null > -kReach && from_null < kReach) {
    return {"null-pointer",
            from_null == 0 ? "through a null pointer" : "at byte " + std::to_string(from_null) + " of a null pointer"};
  }
  // What the compiler fills variables with that have no value.
  const auto from_unset = static_cast<int64_t>(address - 0xaaaaaaaaaaaaaaaau);
  if (from_unset > -kReach && from_unset < kReach) return {"wild-pointer", "through a pointer that was never set"};
  char text[48];
  snprintf(text, sizeof text, "at 0x%llx, which is in no buffer", static_cast<unsigned long long>(address));
  return {"wild-pointer", text};
}

void settle_races(Launch& l) {
  for (PendingRace& race : l.pending) {
    const bool same = memcmp(race.before.data(), reinterpret_cast<const void*>(race.address), race.size) == 0;
    if (!same) l.findings.add(std::move(race.finding));
  }
  l.pending.clear();
  l.watch();
}

void check_outputs(Launch& l) {
  for (unsigned slot = 0; slot < Memory::kBuffers; ++slot) {
    Region& region = l.memory[slot];
    if (!region.live) continue;
    ptrdiff_t offset = 0;
    if (l.memory.guard_broken(region, &offset)) {
      Finding f = l.finding("out-of-bounds", "bytes beside the buffer were overwritten", nullptr);
      f.buffer = region.name;
      f.offset = offset;
      l.findings.add(std::move(f));
    }
    if (region.initialised || region.cells.size() == 0) continue;
    size_t unwritten = 0, first = 0;
    for (size_t i = 0; i < region.cells.size(); ++i) {
      if (region.cells[i].write.nobody() && unwritten++ == 0) first = i;
    }
    if (unwritten == 0) continue;
    const std::string count = std::to_string(unwritten * region.granule);
    Finding f = l.finding("unwritten-output",
                          count + " of " + std::to_string(region.size) + " bytes were never written", nullptr);
    f.buffer = region.name;
    f.offset = static_cast<int64_t>(first * region.granule);
    l.findings.add(std::move(f));
  }
}

}  // namespace emulator
