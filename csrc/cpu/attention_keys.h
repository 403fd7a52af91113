// A block of attention's keys and values: the positions from one multiple of kBlockKeys to the next, wherever they stand.
//
// Blocks go by the position alone. So what a query sums does not depend on the other queries of the call, on what of the
// keys is in the ring already, or on where that wraps.
#pragma once

#include "attention_tile.h"

namespace voxtral::cpu {
namespace {

constexpr Index kBlockKeys = 64;

template <class T>
constexpr bool kIsFloat = sizeof(T) == 4;
template <class T>
constexpr bool kIsScaled = std::is_same_v<T, std::int8_t>;

// Neighbours in storage: a ring that wraps has two, its tail is a third.
struct Run {
  const void *k, *v;
  const float *k_scales, *v_scales;  // of rows of signed bytes
  Index k_row, v_row;
  Index first, last;  // positions within the block
  bool in_ring;
};

struct Keys {
  Run runs[3];
  int count;
  Index first;       // the block's position, relative to the task's first block
  Index begin, end;  // those of its positions that are there

  bool has(bool in_ring) const { return runs[in_ring ? 0 : count - 1].in_ring == in_ring; }
  // Those in the ring, or those behind it; there are some.
  Keys part(bool in_ring) const {
    Keys keys{};
    keys.first = first;
    for (int i = 0; i < count; ++i) {
      if (runs[i].in_ring == in_ring) keys.runs[keys.count++] = runs[i];
    }
    keys.begin = keys.runs[0].first;
    keys.end = keys.runs[keys.count - 1].last;
    return keys;
  }
};

// R: of the ring.
template <class T, class R>
Run run_at(const SlidingWindowAttentionArgs& args, Index batch, Index kv_head, Index position, Index block, Index end) {
  Run run{};
  run.in_ring = position < args.ring_end;
  run.first = position - block;
  if (run.in_ring) {
    const Index slot = position % args.capacity;
    const Index row = (batch * args.kv_heads + kv_head) * args.capacity + slot, offset = row * args.dim;
    run.last = least(end, position + least(args.ring_end - position, args.capacity - slot)) - block;
    run.k = static_cast<const R*>(args.ring_k) + offset;
    run.v = static_cast<const R*>(args.ring_v) + offset;
    run.k_row = run.v_row = args.dim;
    if constexpr (kIsScaled<R>) run.k_scales = args.ring_k_scales + row, run.v_scales = args.ring_v_scales + row;
  } else {
    const Index at = position - args.ring_end;
    run.last = end - block;
    run.k = static_cast<const T*>(args.tail_k) + batch * args.tail_k_batch + kv_head * args.tail_k_head +
            at * args.tail_k_row;
    run.v = static_cast<const T*>(args.tail_v) + batch * args.tail_v_batch + kv_head * args.tail_v_head +
            at * args.tail_v_row;
    run.k_row = args.tail_k_row;
    run.v_row = args.tail_v_row;
  }
  return run;
}

// The positions [position, end) of the block from `block` on.
template <class T, class R>
Keys keys_at(const SlidingWindowAttentionArgs& args, Index batch, Index kv_head, Index block, Index position,
             Index end) {
  Keys keys{};
  keys.begin = position - block;
  keys.end = least(end - block, kBlockKeys);
  while (position < block + keys.end) {
    keys.runs[keys.count] = run_at<T, R>(args, batch, kv_head, position, block, block + keys.end);
    position = block + keys.runs[keys.count++].last;
  }
  return keys;
}

template <class S>
Rows<S> stored(const Keys& keys, bool values) {
  Rows<S> rows{};
  rows.count = keys.count;
  for (int i = 0; i < keys.count; ++i) {
    const Run& run = keys.runs[i];
    rows.base[i] = static_cast<const S*>(values ? run.v : run.k);
    rows.step[i] = values ? run.v_row : run.k_row;
    rows.first[i] = run.first;
  }
  rows.first[keys.count] = keys.end;
  return rows;
}

// The scales of the block's keys or values by position, of which some are in a ring of bytes; 1 of what is not.
inline const float* key_scales(const Keys& keys, bool values, float (&held)[kBlockKeys]) {
  const auto of = [&](const Run& run) { return values ? run.v_scales : run.k_scales; };
  if (keys.runs[0].last - keys.runs[0].first == kBlockKeys) return of(keys.runs[0]);
  for (float& scale : held) scale = 1.0f;
  for (int i = 0; i < keys.count && keys.runs[i].in_ring; ++i) {
    const Run& run = keys.runs[i];
    __builtin_memcpy(held + run.first, of(run), std::size_t(run.last - run.first) * 4);
  }
  return held;
}

// The same in float32 at `to` [kBlockKeys, width].
template <class T, class R>
Rows<float> converted(const Keys& keys, bool values, Index dim, float* to, Index width) {
  for (int i = 0; i < keys.count; ++i) {
    const Run& run = keys.runs[i];
    const auto convert = [&]<class S>(const S* from) {
      to_float_rows(from, values ? run.v_row : run.k_row, run.last - run.first, dim, to + run.first * width, width);
    };
    const void* from = values ? run.v : run.k;
    run.in_ring ? convert(static_cast<const R*>(from)) : convert(static_cast<const T*>(from));
  }
  return {{to + keys.begin * width}, {width}, {keys.begin, keys.end}, 1};
}

// The processor's own prefetcher loses the keys while the values stream, and the reverse. So a block's values are asked
// for while its scores are computed, a few at a time (more than that stops the arithmetic), and where the score's tile
// does not itself look ahead, the next block's keys too. Always inlined: GCC takes a function that only asks for memory
// for one without effect, and drops its calls.
template <class T>
struct Ahead {
  Rows<T> k, v;
  Index dim;

  template <int Count>
  [[gnu::always_inline]] inline void values(Index first) const {
    rows<Count>(v, 0, first);
  }
  template <int Count>
  [[gnu::always_inline]] inline void next_keys(Index first) const {
    rows<Count>(k, kBlockKeys, first);
  }

 private:
  template <int Count>
  [[gnu::always_inline]] inline void rows(const Rows<T>& of, Index beyond, Index first) const {
    const T* rows[Count];
    of.template near<Count>(first, rows);
    beyond *= of.step[of.count - 1] * Index(sizeof(T));
    for (const T* row : rows) {
      const char* at = reinterpret_cast<const char*>(row) + beyond;
      for (Index byte = 0; byte < dim * Index(sizeof(T)); byte += 64) __builtin_prefetch(at + byte, 0, 2);
    }
  }
};

}  // namespace
}  // namespace voxtral::cpu
