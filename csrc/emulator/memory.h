// Where the buffers and threadgroup variables of a launch live. Each has 22 GiB of addresses of its own, nearly all of
// them unmapped. An index that wraps at 32 bits misses by 2^32 elements: a multiple of 4 GiB that, for elements of any
// size but multiples of 11 bytes, ends 1 GiB or more from all other slots' data, of which none has more than 1 GiB.
// Where the system does not give that much (kernels with 39 bits of addresses), 2 GiB must do, and Python says so.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace emulator {

size_t page_bytes();  // of the system: 16 KiB on Apple silicon

enum class Space { input, output, constant, threadgroup };

// Who touched a granule of memory, and when in its own barriers' time.
struct Stamp {
  uint32_t threadgroup = 0;  // linear
  uint32_t pc = 0;           // relative to the module
  uint32_t threadgroup_epoch = 0;
  uint32_t simdgroup_epoch = 0;
  uint16_t lane = 0;  // its index and 1; 0: nobody

  bool nobody() const { return lane == 0; }
  bool same_lane(const Stamp& other) const { return lane == other.lane && threadgroup == other.threadgroup; }
};

// The history of a granule that the checks need: the last write, and the last reads by two simdgroups.
struct Cell {
  Stamp write;
  Stamp other_write;  // by another lane, which nothing ordered before `write`: one of the same value
  std::array<Stamp, 2> reads;
  Stamp far_read;  // by an earlier threadgroup
  bool atomic_write = false, other_atomic = false;
  bool shared_read[2] = {false, false};  // several lanes of that simdgroup read in the same epoch

  bool untouched() const { return write.nobody() && reads[0].nobody() && reads[1].nobody() && far_read.nobody(); }
};

// Zeroed pages of the system, touched only where the kernel goes.
class Cells {
 public:
  void reset(size_t count) {
    cells_.reset(count ? static_cast<Cell*>(calloc(count, sizeof(Cell))) : nullptr);
    if (count && !cells_) throw std::bad_alloc();
    size_ = count;
  }
  size_t size() const { return size_; }
  Cell& operator[](size_t i) { return cells_[i]; }
  void forget() { memset(static_cast<void*>(cells_.get()), 0, size_ * sizeof(Cell)); }

 private:
  struct Free {
    void operator()(Cell* p) const { free(p); }
  };
  std::unique_ptr<Cell[], Free> cells_;
  size_t size_ = 0;
};

// One bit for each byte of a buffer.
class ByteSet {
 public:
  // `bytes` is the size of the buffer, for the first use.
  void add(size_t from, size_t count, size_t bytes) {
    if (words_.empty()) words_.resize(bytes / 64 + 1);
    while (count) {
      const size_t bit = from % 64, n = std::min<size_t>(64 - bit, count);
      words_[from / 64] |= (n == 64 ? ~uint64_t(0) : (uint64_t(1) << n) - 1) << bit;
      from += n;
      count -= n;
    }
  }
  uint64_t size() const {
    uint64_t n = 0;
    for (uint64_t word : words_) n += static_cast<uint64_t>(std::popcount(word));
    return n;
  }

 private:
  std::vector<uint64_t> words_;
};

struct Traffic {
  uint64_t read_bytes = 0, written_bytes = 0;
  uint64_t accesses = 0;        // of a simdgroup: one instruction, all its lanes
  uint64_t segments = 0;        // 128-byte segments that these touched
  uint64_t ideal_segments = 0;  // the least that the same bytes could touch
  uint64_t bank_conflicts = 0;  // threadgroup memory: extra rounds over 32 banks of 4 bytes
  ByteSet read, written;
};

struct Region {
  std::string name;
  Space space = Space::input;
  uintptr_t start = 0;
  size_t size = 0;
  unsigned granule = 4;        // bytes that have one history: 1, 2 or 4
  unsigned first_granule = 4;  // before an access touched less
  bool initialised = true;
  bool live = false;
  Cells cells;  // none where no check needs them
  Traffic traffic;
  size_t mapped_from = 0, mapped_to = 0;  // offsets in the slot

  bool on_device() const { return space != Space::threadgroup; }
  // Gives each part of a granule, a power of two of bytes, a history of its own: what the whole had so far.
  void refine(unsigned finer);
};

// How far apart slots are, in units of 2 GiB.
enum class Spacing : unsigned { wide = 11, narrow = 1 };

class Memory {
 public:
  static constexpr unsigned kUnitBits = 31;
  static constexpr size_t kMostBytes = size_t(1) << 30;  // of a buffer
  static constexpr unsigned kBuffers = 31, kThreadgroupArguments = 31, kSlots = 128;
  static constexpr unsigned kFirstArgument = kBuffers, kFirstVariable = kBuffers + kThreadgroupArguments;
  static constexpr unsigned char kGuardByte = 0xc5;
  static constexpr uintptr_t slot_bytes(Spacing spacing) { return static_cast<uintptr_t>(spacing) << kUnitBits; }
  // Before and behind all slots: also out of reach of a wrap.
  static constexpr uintptr_t margin(Spacing spacing) { return 3 * slot_bytes(spacing); }
  static constexpr uintptr_t reserved_bytes(Spacing spacing) {
    return slot_bytes(spacing) * kSlots + 2 * margin(spacing);
  }

  // Throws std::bad_alloc where the system does not give the addresses.
  explicit Memory(Spacing spacing);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // Makes `slot` hold `size` bytes that end next to an unmapped page.
  Region& place(unsigned slot, std::string name, Space space, size_t size, unsigned granule);
  void clear();  // forgets all regions; their pages stay for the next launch
  // Takes another memory's buffers for its own, at their addresses; the history of accesses is its own.
  void adopt_buffers(const Memory& other);

  // The region that an access of `size` bytes (0: not known) out of all bounds most likely meant: the one whose data is
  // near, or would be if an index of elements of some power of two of bytes, `size` first, had not wrapped at 32 bits.
  // Null where there is none.
  Region* left_by(uintptr_t address, size_t size);
  // The region whose addresses `address` belongs to, in bounds or not; null outside of all slots.
  Region* find(uintptr_t address) {
    uintptr_t distance = address - buffers_;
    if (distance < buffers_bytes_) return &regions_[slot_at(distance)];
    distance = address - base_;
    return distance < slot_bytes_ * kSlots ? &regions_[slot_at(distance)] : nullptr;
  }
  // Whether `address` and what follows lie in an input or constant, of which a read needs no more than that.
  bool is_read_only(uintptr_t address, size_t size) const {
    const uintptr_t distance = address - buffers_;
    if (distance >= buffers_bytes_) return false;
    const ReadOnly& r = read_only_[slot_at(distance)];
    const uintptr_t offset = address - r.start;
    return offset < r.size && size <= r.size - offset;
  }
  Region& operator[](unsigned slot) { return regions_[slot]; }
  Spacing spacing() const { return spacing_; }
  // Offset of a byte beside the region that was overwritten, if any; only bytes on the region's own pages are seen.
  bool guard_broken(const Region& region, ptrdiff_t* offset) const;

 private:
  struct ReadOnly {
    uintptr_t start = 0;
    size_t size = 0;  // 0: no such region
  };
  // The quotient by 11 or by 1 of numbers below 2^15, exactly, without a division.
  uintptr_t slot_at(uintptr_t distance) const { return (distance >> kUnitBits) * reciprocal_ >> 16; }
  uintptr_t slot_start(size_t slot) const { return base_ + slot * slot_bytes_; }

  Spacing spacing_;
  uintptr_t reciprocal_, slot_bytes_, buffers_bytes_;
  uintptr_t base_ = 0;
  uintptr_t buffers_ = 0;  // where the slots of buffers are: the same, or another memory's
  std::array<Region, kSlots> regions_;
  std::array<ReadOnly, kBuffers> read_only_;  // of the buffers, close together
};

}  // namespace emulator
