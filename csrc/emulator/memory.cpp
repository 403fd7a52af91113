#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>

namespace emulator {

namespace {

#ifndef MAP_NORESERVE
#  define MAP_NORESERVE 0
#endif

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

}  // namespace

size_t page_bytes() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

Memory::Memory(Spacing spacing)
    : spacing_(spacing),
      reciprocal_((1u << 16) / static_cast<unsigned>(spacing) + 1),
      slot_bytes_(slot_bytes(spacing)),
      buffers_bytes_(slot_bytes_ * kBuffers) {
  const size_t bytes = reserved_bytes(spacing);
  void* p = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  base_ = buffers_ = reinterpret_cast<uintptr_t>(p) + margin(spacing);
}

Memory::~Memory() { munmap(reinterpret_cast<void*>(base_ - margin(spacing_)), reserved_bytes(spacing_)); }

Region& Memory::place(unsigned slot, std::string name, Space space, size_t size, unsigned granule) {
  if (slot >= kSlots) throw std::length_error("too many threadgroup variables");
  if (size > kMostBytes) throw std::length_error("a buffer of more than 1 GiB");
  Region& region = regions_[slot];
  const size_t end = (slot_bytes_ + kMostBytes) / 2, bytes = round_up(size, 16);
  const size_t from = end - round_up(bytes + 1, page_bytes());
  const uintptr_t pages = slot_start(slot);
  if (region.mapped_to == 0) region.mapped_from = end;
  if (from != region.mapped_from) {  // grown pages become accessible, left ones must not stay so
    const bool grows = from < region.mapped_from;
    void* first = reinterpret_cast<void*>(pages + std::min(from, region.mapped_from));
    const size_t length = grows ? region.mapped_from - from : from - region.mapped_from;
    if (mprotect(first, length, grows ? PROT_READ | PROT_WRITE : PROT_NONE) != 0) throw std::bad_alloc();
  }
  region.mapped_from = from;
  region.mapped_to = end;
  region.name = std::move(name);
  region.space = space;
  region.start = pages + end - bytes;
  region.size = size;
  region.granule = region.first_granule = granule;
  region.initialised = true;
  region.live = true;
  region.cells.reset(0);
  region.traffic = Traffic{};
  const bool is_read_only = space == Space::input || space == Space::constant;
  if (slot < kBuffers) read_only_[slot] = {region.start, is_read_only ? size : 0};
  const size_t before = std::min<size_t>(64, end - bytes - region.mapped_from);
  memset(reinterpret_cast<void*>(region.start - before), kGuardByte, before);
  memset(reinterpret_cast<void*>(region.start + size), kGuardByte, bytes - size);
  return region;
}

void Memory::clear() {
  read_only_.fill({});
  for (Region& region : regions_) {
    region.live = false;
    region.cells.reset(0);
    region.traffic = Traffic{};
    constexpr size_t kKeep = size_t(64) << 20;  // what a large launch leaves behind goes back to the system
    if (region.mapped_to - region.mapped_from > kKeep) {
      const uintptr_t slot = slot_start(static_cast<size_t>(&region - regions_.data()));
      void* p = reinterpret_cast<void*>(slot + region.mapped_from);
      madvise(p, region.mapped_to - region.mapped_from, MADV_DONTNEED);
    }
  }
}

void Region::refine(unsigned finer) {
  const size_t parts = granule / finer;
  Cells whole = std::move(cells);
  cells = Cells();
  cells.reset(on_device() ? (size + finer - 1) / finer : size / finer + 1);
  for (size_t i = 0; i < whole.size(); ++i) {
    if (whole[i].untouched()) continue;  // its pages need not be there
    const size_t end = std::min((i + 1) * parts, cells.size());
    for (size_t part = i * parts; part < end; ++part) cells[part] = whole[i];
  }
  granule = finer;
}

Region* Memory::left_by(uintptr_t address, size_t size) {
  const auto near = [this](uintptr_t at) -> Region* {
    Region* region = find(at);
    if (region == nullptr || !region->live) return nullptr;
    const uintptr_t from_start = at - region->start + kMostBytes;
    return from_start <= 2 * kMostBytes + region->size ? region : nullptr;
  };
  if (Region* region = near(address)) return region;
  for (const size_t element : {size, size_t(4), size_t(2), size_t(16), size_t(8), size_t(1)}) {
    const uintptr_t wrap = uintptr_t(element) << 32;
    for (const uintptr_t at : {address - wrap, address + wrap}) {
      if (Region* region = near(at)) return region;
    }
  }
  Region* region = find(address);
  return region != nullptr && region->live ? region : nullptr;
}

void Memory::adopt_buffers(const Memory& other) {
  buffers_ = other.buffers_;
  read_only_ = other.read_only_;
  for (unsigned slot = 0; slot < kBuffers; ++slot) {
    const Region& theirs = other.regions_[slot];
    Region& own = regions_[slot];
    own.live = theirs.live;
    own.cells.reset(theirs.cells.size());
    if (!theirs.live) continue;
    own.name = theirs.name;
    own.space = theirs.space;
    own.start = theirs.start;
    own.size = theirs.size;
    own.granule = own.first_granule = theirs.granule;
    own.initialised = theirs.initialised;
  }
}

bool Memory::guard_broken(const Region& region, ptrdiff_t* offset) const {
  const auto* start = reinterpret_cast<const unsigned char*>(region.start);
  const ptrdiff_t size = static_cast<ptrdiff_t>(region.size), end = static_cast<ptrdiff_t>(round_up(region.size, 16));
  const uintptr_t slot = slot_start(static_cast<size_t>(&region - regions_.data()));
  const auto before = std::min<ptrdiff_t>(64, static_cast<ptrdiff_t>(region.start - slot - region.mapped_from));
  for (ptrdiff_t i = -before; i < end; i = i == -1 ? size : i + 1) {
    if (start[i] != kGuardByte) return *offset = i, true;
  }
  return false;
}

}  // namespace emulator
