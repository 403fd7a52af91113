// Keys and values of one (batch, kv head) in two segments with absolute positions:
//
//   ring  [capacity, D]  positions max(0, ring_end - capacity) .. ring_end - 1, slot = position % capacity
//   tail  [T, D]         positions ring_end .. ring_end + T - 1, its rows tail_step apart
//
// The ring's elements are R: as the tail's T, or int8_t times a scale for each row, which lie behind the bytes of all
// rows.
//
// A query at position p sees the keys p - window + 1 .. p.
#pragma once

#include "common/packed.h"

METAL_FUNC bool is_visible(int key, int query, int window) { return key <= query && key > query - window; }

template <typename T, typename R, int D, bool HAS_RING>
struct RingTail {
  static constexpr constant bool IS_SCALED = sizeof(R) == 1;
  const device R* ring_k;
  const device R* ring_v;
  const device float* ring_k_scales;  // IS_SCALED
  const device float* ring_v_scales;
  const device T* tail_k;
  const device T* tail_v;
  int ring_end;
  int capacity;
  int n_tail;
  uint tail_step;
  int origin;  // position whose slot is 0, the greatest one not after the ring's first

  // ring: [2, n_heads, capacity, D], of which `head`; tails: from row `tail_first` on
  METAL_FUNC RingTail(const device R* ring, const device T* tail_k_, const device T* tail_v_, int ring_end_,
                      int capacity_, uint n_heads, uint head, size_t tail_first, int n_tail_, uint tail_step_) {
    const size_t k_row = size_t(head) * capacity_;
    const size_t v_row = size_t(n_heads + head) * capacity_;
    ring_k = ring + k_row * D;
    ring_v = ring + v_row * D;
    const device float* scales = (const device float*)(ring + size_t(2 * n_heads) * capacity_ * D);
    ring_k_scales = scales + k_row;
    ring_v_scales = scales + v_row;
    tail_k = tail_k_ + tail_first * D;
    tail_v = tail_v_ + tail_first * D;
    n_tail = n_tail_;
    tail_step = tail_step_;
    ring_end = ring_end_;
    capacity = capacity_;
    const int first = max(0, ring_end - capacity);
    origin = HAS_RING ? first - first % capacity : 0;
  }

  // First position that is kept and that a query at `query` can see.
  METAL_FUNC int first_visible(int query, int window) const {
    return max(query - window + 1, HAS_RING ? max(0, ring_end - capacity) : ring_end);
  }

  METAL_FUNC bool in_ring(int position) const { return HAS_RING && position < ring_end; }

  // Row of a position within its segment.
  METAL_FUNC size_t row(int position) const {
    if (in_ring(position)) {
      const int slot = position - origin;
      return size_t(slot < capacity ? slot : slot - capacity);
    }
    return size_t(position - ring_end) * tail_step;
  }
};

// Of a batch: ring [2, B, Hkv, capacity, D], tails [B, Hkv, T, D]. STREAMS: each of the batch is a stream that stands
// elsewhere; streams [B, 4] holds its slot of the ring, which has as many as it likes, its ring_end, and its first row and
// its number of rows in the tails [T, Hkv, 1, D] of all.
template <bool STREAMS, typename T, typename R, int D, bool HAS_RING, typename S>
METAL_FUNC RingTail<T, R, D, HAS_RING> ring_tail(const device R* ring, const constant int* ring_shape,
                                                 const device T* tail_k, const constant int* tail_shape,
                                                 const device T* tail_v, int ring_end, S streams, uint batch, uint b,
                                                 uint kv_head) {
  const uint heads = uint(tail_shape[1]);
  if (STREAMS) {
    S at = streams + 4 * b;
    return RingTail<T, R, D, HAS_RING>(ring, tail_k, tail_v, at[1], ring_shape[3], uint(ring_shape[1]) * heads,
                                       uint(at[0]) * heads + kv_head, size_t(at[2]) * heads + kv_head, at[3], heads);
  }
  const uint head = b * heads + kv_head;
  return RingTail<T, R, D, HAS_RING>(ring, tail_k, tail_v, ring_end, ring_shape[3], batch * heads, head,
                                     size_t(head) * uint(tail_shape[2]), tail_shape[2], 1);
}

// V elements of one segment or the other; where both hold the same type only a pointer is chosen.
template <typename To, int V, typename T>
METAL_FUNC Packed<To, V> load_either(bool first, const device T* a, const device T* b) {
  return load_as<To, V>(first ? a : b);
}

template <typename To, int V, typename T>
METAL_FUNC Packed<To, V> load_either(bool first, const device int8_t* a, const device T* b) {
  if (first) {
    return load_as<To, V>(a);
  }
  return load_as<To, V>(b);
}

// V neighbouring elements of a row of keys or values from d on, without their scale.
template <typename To, int V, bool VALUES, typename T, typename R, int D, bool HAS_RING>
METAL_FUNC Packed<To, V> load_row(RingTail<T, R, D, HAS_RING> rows, int position, int d) {
  const size_t at = rows.row(position) * D + d;
  return load_either<To, V>(rows.in_ring(position), (VALUES ? rows.ring_v : rows.ring_k) + at,
                            (VALUES ? rows.tail_v : rows.tail_k) + at);
}

// What the elements of a row are to be multiplied with.
template <bool VALUES, typename T, typename R, int D, bool HAS_RING>
METAL_FUNC float row_scale(RingTail<T, R, D, HAS_RING> rows, int position) {
  if (!rows.IS_SCALED || !rows.in_ring(position)) {
    return 1;
  }
  return (VALUES ? rows.ring_v_scales : rows.ring_k_scales)[rows.row(position)];
}
