// The C interface between a compiled kernel and the runtime (csrc/emulator). Both include this file.
#pragma once

typedef struct msl_lane {
  unsigned position_in_grid[3];
  unsigned position_in_threadgroup[3];
  unsigned threadgroup_position[3];
  unsigned threadgroups[3];      // in the grid
  unsigned grid[3];              // in threads
  unsigned threads[3];           // of this threadgroup; fewer at the grid's edges
  unsigned dispatch_threads[3];  // of a full threadgroup
  unsigned index;                // in the threadgroup
  unsigned lane;                 // in the simdgroup
  unsigned simdgroup;            // in the threadgroup
  unsigned simdgroups;           // of this threadgroup
  unsigned dispatch_simdgroups;  // of a full threadgroup
} msl_lane;

// All lanes that reached a simdgroup operation, what each brings and where it wants the result. Bit i of `mask` is
// lane i.
typedef struct msl_group {
  const void* in[32];
  void* out[32];
  unsigned argument[32];
  unsigned mask;
  unsigned char absent[2];  // what a lane that did not come would have given, byte by byte, of even and of odd lanes
} msl_group;

// clang-format off
#define MSL_SIMD_OPERATIONS(X) \
  X(simd_sum) X(simd_product) X(simd_min) X(simd_max) X(simd_and) X(simd_or) X(simd_xor) \
  X(simd_prefix_inclusive_sum) X(simd_prefix_exclusive_sum) X(simd_prefix_inclusive_product) \
  X(simd_prefix_exclusive_product) X(simd_shuffle) X(simd_broadcast) X(simd_shuffle_xor) X(simd_shuffle_up) \
  X(simd_shuffle_down) X(simd_shuffle_rotate_up) X(simd_shuffle_rotate_down) X(simd_shuffle_and_fill_up) \
  X(simd_shuffle_and_fill_down) X(simd_broadcast_first) X(simd_ballot) X(simd_is_first) \
  X(simd_active_threads_mask) X(simdgroup_load) X(simdgroup_store) X(simdgroup_multiply_accumulate) \
  X(simdgroup_barrier) X(quad_sum) X(quad_product) X(quad_min) X(quad_max) X(quad_and) X(quad_or) X(quad_xor) \
  X(quad_prefix_inclusive_sum) X(quad_prefix_exclusive_sum) X(quad_prefix_inclusive_product) \
  X(quad_prefix_exclusive_product) X(quad_shuffle) X(quad_broadcast) X(quad_shuffle_xor) X(quad_shuffle_up) \
  X(quad_shuffle_down) X(quad_shuffle_rotate_up) X(quad_shuffle_rotate_down) X(quad_shuffle_and_fill_up) \
  X(quad_shuffle_and_fill_down) X(quad_broadcast_first) X(quad_ballot) X(quad_is_first) \
  X(quad_active_threads_mask)
// clang-format on

#define MSL_ENUMERATE(name) MSL_OP_##name,
enum msl_operation { MSL_SIMD_OPERATIONS(MSL_ENUMERATE) MSL_OPERATION_COUNT };
#undef MSL_ENUMERATE

#ifndef MSL_FN  // keywords.h has the kernels' own
#  define MSL_FN inline
#endif

// How a shuffle names the lane that it takes from.
enum msl_shuffle_mode { msl_direct, msl_xor_mode, msl_up, msl_down, msl_rotate_up, msl_rotate_down };

// Where lane `i` of a group of `width` takes from; itself for up and down at the edge. Out of the group: from nobody.
MSL_FN unsigned msl_source(enum msl_shuffle_mode mode, unsigned width, unsigned i, unsigned argument) {
  switch (mode) {
    case msl_direct:
      return argument;
    case msl_xor_mode:
      return i ^ argument;
    case msl_up:
      return i < argument ? i : i - argument;
    case msl_down:
      return i + argument >= width ? i : i + argument;
    case msl_rotate_up:
      return (i - argument) % width;
    default:
      return (i + argument) % width;
  }
}

// The same for a shuffle with a filling: groups of `modulo` lanes shift as one, and what comes in at the edge is the
// filling of the lane that stands there in its own group.
typedef struct msl_fill_source {
  unsigned lane;
  int is_filling;
} msl_fill_source;
MSL_FN msl_fill_source msl_source_or_filling(int up, unsigned lane, unsigned delta, unsigned modulo) {
  const unsigned first = lane / modulo * modulo;
  const int from = (int)(lane - first) + (up ? -(int)delta : (int)delta), size = (int)modulo;
  const int around = from < 0 ? (from % size + size) % size : from % size;
  msl_fill_source source = {first + (unsigned)around, from < 0 || from >= size};
  return source;
}

// Each call in the text stays a call of its own: lanes that wait at two of them have diverged.
#if defined(__clang__)
#  define MSL_MEETING __attribute__((convergent, nomerge))
#else
#  define MSL_MEETING
#endif

extern "C" {
const msl_lane* msl_this_lane();
unsigned msl_lane_index();  // in the simdgroup
// Waits for the lanes of the simdgroup. One of them, the leader, gets the group and computes; the others get null.
MSL_MEETING const msl_group* msl_rendezvous(const void* in, void* out, unsigned argument, unsigned operation);
MSL_MEETING void msl_threadgroup_barrier(unsigned mem_flags);
MSL_MEETING void msl_simdgroup_barrier(unsigned mem_flags);
void msl_fence(unsigned mem_flags);  // of what it releases to the device
void* msl_threadgroup_memory(unsigned id, unsigned long size, unsigned long alignment);
void* msl_threadgroup_argument(unsigned index);
void msl_atomic(const void* address, unsigned size, unsigned what);  // 0: load, 1: store, 2: both
}
