// Kernels are compiled with -fsanitize=thread and a few checks of -fsanitize=undefined, but linked against these
// functions in place of the sanitizers' own runtimes.
#include "callbacks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include "checks.h"
#include "launch.h"

namespace emulator {

namespace {

uintptr_t number(const void* p) { return reinterpret_cast<uintptr_t>(p); }

// Most accesses of most kernels read inputs: in bounds, and with nothing else to do, they are counted here.
inline void on_access(uintptr_t address, size_t size, Access access, const void* pc) {
  Launch& l = *launch;
  if (access == Access::read && l.memory.is_read_only(address, size) && l.step()) return;
  check_access(address, size, access, pc);
}

#define PC __builtin_return_address(0)
#define ACCESSES(size)                                                             \
  void read##size(const void* p) { on_access(number(p), size, Access::read, PC); } \
  void write##size(const void* p) { on_access(number(p), size, Access::write, PC); }
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
#undef ACCESSES

void read_range(const void* p, size_t n) {
  if (n) on_access(number(p), n, Access::read, PC);
}
void write_range(const void* p, size_t n) {
  if (n) on_access(number(p), n, Access::write, PC);
}
void* checked_memcpy(void* to, const void* from, size_t n) {
  if (n) on_access(number(from), n, Access::read, PC), on_access(number(to), n, Access::write, PC);
  return memcpy(to, from, n);
}
void* checked_memmove(void* to, const void* from, size_t n) {
  if (n) on_access(number(from), n, Access::read, PC), on_access(number(to), n, Access::write, PC);
  return memmove(to, from, n);
}
void* checked_memset(void* to, int value, size_t n) {
  if (n) on_access(number(to), n, Access::write, PC);
  return memset(to, value, n);
}
// The compiler asks nobody before it calls this one.
int checked_memcmp(const void* a, const void* b, size_t n) {
  if (n && launch->options.mode != Mode::plain) {
    on_access(number(a), n, Access::read, PC);
    on_access(number(b), n, Access::read, PC);
  }
  return memcmp(a, b, n);
}
void nothing() {}

// The compiler's own records of where a check stands (compiler-rt, ubsan/ubsan_value.h).
struct SourceLocation {
  const char* file;
  uint32_t line, column;
};

// An array as clang spells its type, "'__local msl_type_of_tile' (aka '__local float[64]')", in Metal's words.
struct ArrayName {
  std::string type, owner = "a private array";
  explicit ArrayName(const std::string& spelled) {
    const std::string ours = "msl_type_of_";
    const size_t synonym = spelled.find(ours);
    const size_t open =
        synonym == std::string::npos ? spelled.find('\'') : spelled.rfind('\'', spelled.rfind('\'') - 1);
    type = spelled.substr(open + 1, spelled.find('\'', open + 1) - open - 1);
    for (const std::string space : {"__private ", "__local ", "__constant ", "__global "}) {
      if (!type.starts_with(space)) continue;
      type = type.substr(space.size());
      if (space == "__local ") owner = "a threadgroup array";
      if (space == "__constant ") owner = "a constant array";
    }
    if (synonym == std::string::npos) return;
    const size_t start = synonym + ours.size();
    owner = spelled.substr(start, spelled.find('\'', start) - start);
  }
};

void set_place(Finding& f, const SourceLocation& where) {
  if (where.file) f.file = where.file, f.line = where.line, f.column = where.column;
}

[[noreturn]] void fatal_at(const SourceLocation* where, const char* kind, const char* detail, const char* buffer) {
  Finding f = launch->finding(kind, detail, nullptr);
  if (where) set_place(f, *where);
  f.buffer = buffer;
  launch->findings.add(std::move(f));
  launch->abandon();
}

struct Type {
  uint16_t kind, info;
  char name[1];  // quoted: 'float[4]'
};
struct OutOfBounds {
  SourceLocation where;
  const Type *array, *index;
};
void array_bounds(const OutOfBounds* data, uintptr_t index) {
  const unsigned bits = 1u << (data->index->info >> 1);
  const bool is_signed = data->index->info & 1;
  const unsigned unused = bits < 64 ? 64 - bits : 0;
  const std::string number = is_signed ? std::to_string(static_cast<int64_t>(index << unused) >> unused)
                                       : std::to_string(static_cast<uint64_t>(index << unused) >> unused);
  const ArrayName array(data->array->name);
  Finding f = launch->finding("out-of-bounds", "index " + number + " of " + array.type, nullptr);
  set_place(f, data->where);
  f.buffer = array.owner;
  f.offset = Finding::kNowhere;
  launch->findings.add(std::move(f));
  launch->abandon();
}
void local_bounds() {
  Finding f = launch->finding("out-of-bounds", "an access outside of its private array", PC);
  f.buffer = "a private array";
  f.offset = Finding::kNowhere;
  launch->findings.add(std::move(f));
  launch->abandon();
}
// A null pointer, or one that its type does not allow.
struct Mismatch {
  SourceLocation where;
  const void* type;
  unsigned char log_alignment, access_kind;
};
void bad_pointer(const Mismatch* data, const void* pointer) {
  const uintptr_t address = number(pointer);
  // Only loads and stores are accesses: an argument that a function constant leaves out may be passed on by reference.
  if (address == 0 && data->access_kind > 1) return;
  // An object too small for the access: of a private array nobody else asks, a buffer's bounds are those of the host.
  if (address != 0 && address % (uintptr_t(1) << data->log_alignment) == 0) {
    if (!is_private(*launch, address)) return;
    fatal_at(&data->where, "out-of-bounds", "an access outside of its private array", "a private array");
  }
  Finding f = launch->finding(
      "misaligned", "an address that is not a multiple of " + std::to_string(1 << data->log_alignment), nullptr);
  set_place(f, data->where);
  if (Region* region = launch->memory.find(address)) {
    f.buffer = region->name;
    f.offset = static_cast<int64_t>(address - region->start);
  } else if (!is_private(*launch, address)) {
    const Astray astray = where_astray(address);
    f.kind = astray.kind;
    f.detail = (data->access_kind == 1 ? "write " : "access ") + astray.where;
  }
  launch->findings.add(std::move(f));
  launch->abandon();
}
void division(const SourceLocation* where, const void*, const void*) {
  fatal_at(where, "division-by-zero", kDivision, "");
}

void missing_return(const SourceLocation* where) {
  fatal_at(where, "uninitialised-private", "the function ends without the value that it returns", "");
}

void atomic_access(const void* p, unsigned size, unsigned what) {
  Launch& l = *launch;
  if (l.is_shared) {
    const Region* region = l.memory.find(number(p));
    if (region != nullptr && region->live && region->on_device()) {
      l.used_atomics = true;
      l.abandon();
    }
  }
  if (l.options.mode == Mode::plain) return;
  constexpr std::array kWhat{Access::atomic_read, Access::atomic_write, Access::atomic_change};
  on_access(number(p), size, kWhat[std::min(what, 2u)], PC);
}

#define ADDRESS(function) reinterpret_cast<const void*>(function)
#define MATH_1(name) {#name, ADDRESS(static_cast<float (*)(float)>(::name))},
const Export kExports[] = {
    {"msl_this_lane", ADDRESS(msl_this_lane)},
    {"msl_lane_index", ADDRESS(msl_lane_index)},
    {"msl_rendezvous", ADDRESS(msl_rendezvous)},
    {"msl_threadgroup_barrier", ADDRESS(msl_threadgroup_barrier)},
    {"msl_simdgroup_barrier", ADDRESS(msl_simdgroup_barrier)},
    {"msl_fence", ADDRESS(msl_fence)},
    {"msl_threadgroup_memory", ADDRESS(msl_threadgroup_memory)},
    {"msl_threadgroup_argument", ADDRESS(msl_threadgroup_argument)},
    {"msl_atomic", ADDRESS(atomic_access)},
    {"__tsan_func_entry", ADDRESS(nothing)},
    {"__tsan_func_exit", ADDRESS(nothing)},
    {"__tsan_read1", ADDRESS(read1)},
    {"__tsan_read2", ADDRESS(read2)},
    {"__tsan_read4", ADDRESS(read4)},
    {"__tsan_read8", ADDRESS(read8)},
    {"__tsan_read16", ADDRESS(read16)},
    {"__tsan_write1", ADDRESS(write1)},
    {"__tsan_write2", ADDRESS(write2)},
    {"__tsan_write4", ADDRESS(write4)},
    {"__tsan_write8", ADDRESS(write8)},
    {"__tsan_write16", ADDRESS(write16)},
    {"__tsan_unaligned_read2", ADDRESS(read2)},
    {"__tsan_unaligned_read4", ADDRESS(read4)},
    {"__tsan_unaligned_read8", ADDRESS(read8)},
    {"__tsan_unaligned_read16", ADDRESS(read16)},
    {"__tsan_unaligned_write2", ADDRESS(write2)},
    {"__tsan_unaligned_write4", ADDRESS(write4)},
    {"__tsan_unaligned_write8", ADDRESS(write8)},
    {"__tsan_unaligned_write16", ADDRESS(write16)},
    {"__tsan_read_range", ADDRESS(read_range)},
    {"__tsan_write_range", ADDRESS(write_range)},
    {"__tsan_memcpy", ADDRESS(checked_memcpy)},
    {"__tsan_memmove", ADDRESS(checked_memmove)},
    {"__tsan_memset", ADDRESS(checked_memset)},
    {"__ubsan_handle_out_of_bounds", ADDRESS(array_bounds)},
    {"__ubsan_handle_local_out_of_bounds", ADDRESS(local_bounds)},
    {"__ubsan_handle_local_out_of_bounds_abort", ADDRESS(local_bounds)},
    {"__ubsan_handle_type_mismatch_v1", ADDRESS(bad_pointer)},
    {"__ubsan_handle_divrem_overflow", ADDRESS(division)},
    {"__ubsan_handle_missing_return", ADDRESS(missing_return)},
    MATH_1(expf) MATH_1(exp2f) MATH_1(logf) MATH_1(log2f) MATH_1(log10f) MATH_1(sinf) MATH_1(cosf) MATH_1(tanf)
        MATH_1(sinhf) MATH_1(coshf) MATH_1(tanhf) MATH_1(asinf) MATH_1(acosf) MATH_1(atanf) MATH_1(asinhf)
            MATH_1(acoshf) MATH_1(atanhf) MATH_1(floorf) MATH_1(ceilf) MATH_1(truncf) MATH_1(rintf) MATH_1(roundf)
                MATH_1(sqrtf){"fminf", ADDRESS(static_cast<float (*)(float, float)>(::fminf))},
    {"fmaxf", ADDRESS(static_cast<float (*)(float, float)>(::fmaxf))},
    {"atan2f", ADDRESS(static_cast<float (*)(float, float)>(::atan2f))},
    {"powf", ADDRESS(static_cast<float (*)(float, float)>(::powf))},
    {"fmodf", ADDRESS(static_cast<float (*)(float, float)>(::fmodf))},
    {"nextafterf", ADDRESS(static_cast<float (*)(float, float)>(::nextafterf))},
    {"ldexpf", ADDRESS(static_cast<float (*)(float, int)>(::ldexpf))},
    {"fmaf", ADDRESS(static_cast<float (*)(float, float, float)>(::fmaf))},
    {"memcpy", ADDRESS(::memcpy)},
    {"memmove", ADDRESS(::memmove)},
    {"memset", ADDRESS(::memset)},
    {"memcmp", ADDRESS(checked_memcmp)},
    {"bcmp", ADDRESS(checked_memcmp)},
};

}  // namespace

std::span<const Export> exports() { return kExports; }

}  // namespace emulator
