#include "shuffles.h"

#include <algorithm>
#include <string>
#include <utility>

namespace emulator {

namespace {

const char* const kOperationNames[] = {
#define NAME(operation) #operation,
    MSL_SIMD_OPERATIONS(NAME)
#undef NAME
};

constexpr unsigned kNobody = ~0u;

unsigned in_group(msl_shuffle_mode mode, unsigned width, unsigned lane, unsigned argument) {
  const unsigned first = lane / width * width, source = msl_source(mode, width, lane - first, argument);
  return source < width ? first + source : kNobody;
}

unsigned with_filling(int up, unsigned lane, unsigned argument) {
  const unsigned modulo = argument >> 16;
  return modulo ? msl_source_or_filling(up, lane, argument & 0xffff, modulo).lane : kNobody;
}

// The lane that `lane` takes from; itself where the operation is no shuffle.
unsigned source(unsigned operation, unsigned lane, unsigned argument) {
  switch (operation) {
#define SHUFFLES(group, width)                               \
  case MSL_OP_##group##_shuffle:                             \
  case MSL_OP_##group##_broadcast:                           \
    return in_group(msl_direct, width, lane, argument);      \
  case MSL_OP_##group##_shuffle_xor:                         \
    return in_group(msl_xor_mode, width, lane, argument);    \
  case MSL_OP_##group##_shuffle_up:                          \
    return in_group(msl_up, width, lane, argument);          \
  case MSL_OP_##group##_shuffle_down:                        \
    return in_group(msl_down, width, lane, argument);        \
  case MSL_OP_##group##_shuffle_rotate_up:                   \
    return in_group(msl_rotate_up, width, lane, argument);   \
  case MSL_OP_##group##_shuffle_rotate_down:                 \
    return in_group(msl_rotate_down, width, lane, argument); \
  case MSL_OP_##group##_shuffle_and_fill_up:                 \
    return with_filling(1, lane, argument);                  \
  case MSL_OP_##group##_shuffle_and_fill_down:               \
    return with_filling(0, lane, argument);
    SHUFFLES(simd, 32)
    SHUFFLES(quad, 4)
#undef SHUFFLES
    default:
      return lane;
  }
}

// Whether lanes name any lane at all: other shuffles stay among the lanes of a group that is whole.
bool takes_from_any(unsigned operation) {
  return operation == MSL_OP_simd_shuffle || operation == MSL_OP_simd_broadcast ||
         operation == MSL_OP_simd_shuffle_xor || operation == MSL_OP_quad_shuffle ||
         operation == MSL_OP_quad_broadcast || operation == MSL_OP_quad_shuffle_xor;
}

}  // namespace

const char* operation_name(unsigned operation) { return kOperationNames[operation]; }

void note_absent(const Simdgroup& group, const Lane& first) {
  const uint32_t mask = group.group.mask;
  if (mask == ~0u && !takes_from_any(first.operation)) return;
  for (unsigned i = 0; i < group.size; ++i) {
    if (!(mask >> i & 1)) continue;
    const unsigned from = source(first.operation, i, group.group.argument[i]);
    if (from < 32 && mask >> from & 1) continue;
    std::string what = std::string(operation_name(first.operation)) + " takes from ";
    what += from == kNobody ? "a lane beyond its group" : "lane " + std::to_string(from) + ", which is not there";
    if (group.size < 32) what += " (the simdgroup has " + std::to_string(group.size) + " lanes)";
    Finding f = launch->finding("inactive-lane", what, first.pc);
    f.lane = group.lanes[i]->ids.index;
    launch->absent.add(std::move(f));
    return;
  }
}

void fill_absent(Simdgroup& group, const Lane& first) {
  const Launch& l = *launch;
  const bool is_other = l.options.absent_at >= 0 && l.relative(first.pc) == l.options.absent_at;
  std::fill_n(group.group.absent, 2, 0xff);
  if (is_other) group.group.absent[0] = 0x7b, group.group.absent[1] = 0xfb;
}

}  // namespace emulator
