// Keys and values of one (batch, kv head) in two segments with absolute positions:
//
//   ring  [capacity, D]  positions max(0, ring_end - capacity) .. ring_end - 1, slot = position % capacity
//   tail  [T, D]         positions ring_end .. ring_end + T - 1
//
// A query at position p sees the keys p - window + 1 .. p.
#pragma once

METAL_FUNC bool is_visible(int key, int query, int window) { return key <= query && key > query - window; }

template <typename T, int D, bool HAS_RING>
struct RingTail {
  const device T* ring_k;
  const device T* ring_v;
  const device T* tail_k;
  const device T* tail_v;
  int ring_end;
  int capacity;
  int origin;  // position whose slot is 0, the greatest one not after the ring's first

  // ring: [2, B, Hkv, capacity, D]; tails: [B, Hkv, T, D]; head = b * Hkv + kv head
  METAL_FUNC RingTail(const device T* ring, const device T* tail_k_, const device T* tail_v_, int ring_end_,
                      int capacity_, int n_tail, uint n_heads, uint head) {
    ring_k = ring + size_t(head) * capacity_ * D;
    ring_v = ring + size_t(n_heads + head) * capacity_ * D;
    tail_k = tail_k_ + size_t(head) * n_tail * D;
    tail_v = tail_v_ + size_t(head) * n_tail * D;
    ring_end = ring_end_;
    capacity = capacity_;
    const int first = max(0, ring_end - capacity);
    origin = HAS_RING ? first - first % capacity : 0;
  }

  // First position that is kept and that a query at `query` can see.
  METAL_FUNC int first_visible(int query, int window) const {
    return max(query - window + 1, HAS_RING ? max(0, ring_end - capacity) : ring_end);
  }

  // Element offset of a row within its segment.
  METAL_FUNC size_t row(int position) const {
    if (HAS_RING && position < ring_end) {
      const int slot = position - origin;
      return size_t(slot < capacity ? slot : slot - capacity) * D;
    }
    return size_t(position - ring_end) * D;
  }

  METAL_FUNC const device T* key(int position) const {
    return (HAS_RING && position < ring_end ? ring_k : tail_k) + row(position);
  }

  METAL_FUNC const device T* value(int position) const {
    return (HAS_RING && position < ring_end ? ring_v : tail_v) + row(position);
  }
};
