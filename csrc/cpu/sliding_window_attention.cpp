// softmax(scale * q k^T) v over the keys [position - window + 1, position] of each query, straight out of ring and
// tail.
//
// A task takes one block of rows of one key-value head; a row is a (query, head of the group) pair, query-major, so
// that the group shares every load of K and V. Keys come in blocks with an online softmax over them. Few rows
// ("vector"): lanes along head_dim for the scores. More ("tiled"): lanes along rows; rows that fill half a vector at most
// share it, each with the even and the odd words of its sums. Both add in the same order: up to kOrdered queries, a row's
// result is the same to the last bit whatever rows stand beside it.
// A ring of 8 bits is summed as it is: a key's scale goes to its scores, a value's to its weights.
#include "attention_block.h"
#include "kernels.h"
#include "online_softmax.h"
#include "tile.h"

namespace voxtral::cpu {
namespace {

template <class T>
const T* query_row(const SlidingWindowAttentionArgs& args, Index batch, Index kv_head, Index row) {
  const Index group = args.heads / args.kv_heads, head = kv_head * group + row % group;
  return static_cast<const T*>(args.q) + batch * args.q_batch + head * args.q_head + row / group * args.q_row;
}

template <class T, class Mac>
void load_queries_vector(const SlidingWindowAttentionArgs& args, Index batch, Index kv_head, const Block& block) {
  for (Index r = 0; r < (block.rows == 3 ? 4 : block.rows); ++r) {  // three are scored as four
    const T* row = query_row<T>(args, batch, kv_head, block.first_row + least(r, block.rows - 1));
    float* to = block.q + r * block.width;
    if constexpr (Mac::kPairs) {
      __builtin_memcpy(to, row, args.dim * sizeof(T));
    } else {
      to_float_rows(row, 0, 1, args.dim, to, block.width);
    }
  }
}

// The second of a row's two parts is the row from its second word on: every other word of each is used.
template <class T, class Mac>
void load_queries_tiled(const SlidingWindowAttentionArgs& args, Index batch, Index kv_head, const Block& block) {
  using Word = std::conditional_t<Mac::kPairs, float, T>;
  const Index words = Mac::kPairs ? args.dim / 2 : args.dim, parts = block.lanes / block.padded_rows;
  for (Index first = 0; first < block.lanes; first += kLanes) {
    const Word* rows[kLanes] = {};
    for (Index i = 0; i < kLanes && (first + i) / parts < block.rows; ++i) {
      const T* row = query_row<T>(args, batch, kv_head, block.first_row + (first + i) / parts);
      rows[i] = reinterpret_cast<const Word*>(row) + i % parts;
    }
    pack_rows(rows, words - parts + 1, block.q + first, block.lanes);
  }
}

template <class Mac, class K, class T>
void scores(const Block& block, const Keys& keys, const Rows<K>& k, Index words, const Ahead<T>& ahead, bool tiled) {
  if (!tiled) return scores_vector<Mac>(block, k, Mac::kPairs ? words : block.width, ahead);
  if constexpr (Mac::kPairs || kIsFloat<K>) scores_tiled<Mac>(block, keys, k, words, ahead);
}

template <class T>
void spread_out(const Block& block, const Rows<T>& v, bool tiled) {
  if (tiled) {
    spread<1>(block, block.padded_rows, v);
  } else {
    spread<kBlockKeys>(block, 1, v);
  }
}

// Keys and values that are all stored as S. What is no float32 is converted as it is read, where it is read once as
// whole vectors; otherwise before.
template <class S, class Mac>
void attend_stored(const SlidingWindowAttentionArgs& args, const Block& block, const Keys& keys, bool tiled) {
  const bool whole = block.width == args.dim;
  const Ahead<S> ahead{stored<S>(keys, false), stored<S>(keys, true), args.dim};
  if (Mac::kPairs || (whole && (kIsFloat<S> || !tiled))) {
    scores<Mac>(block, keys, ahead.k, Mac::kPairs ? args.dim / 2 : args.dim, ahead, tiled);
  } else {  // zeros beyond dim
    scores<Floats>(block, keys, converted<S, S>(keys, false, args.dim, block.k, block.width), args.dim, ahead, tiled);
  }
  softmax<kIsScaled<S>>(block, keys, args.scale, tiled);
  if (whole && (kIsFloat<S> || block.rows <= kSpreadRows)) return spread_out(block, ahead.v, tiled);
  spread_out(block, converted<S, S>(keys, true, args.dim, block.v, block.width), tiled);
}

// Keys of which some are in a ring of bytes. However many rows there are, values in it are summed first, then the others.
template <class T, class R>
void attend_both(const SlidingWindowAttentionArgs& args, const Block& block, const Keys& keys, bool tiled) {
  const Keys in_ring = keys.part(true), behind = keys.part(false);
  const bool as_stored = !tiled && block.width == args.dim;
  if (as_stored) {
    const Ahead<R> ring{stored<R>(in_ring, false), stored<R>(in_ring, true), args.dim};
    const Ahead<T> tail{stored<T>(behind, false), stored<T>(behind, true), args.dim};
    scores<Floats>(block, in_ring, ring.k, args.dim, ring, tiled);
    scores<Floats>(block, behind, tail.k, args.dim, tail, tiled);
  } else {
    const Rows<float> k = converted<T, R>(keys, false, args.dim, block.k, block.width);
    scores<Floats>(block, keys, k, args.dim, Ahead<float>{k, k, args.dim}, tiled);
  }
  softmax<true>(block, keys, args.scale, tiled);
  const auto spread_part = [&]<class S>(const Rows<S>& v, const Keys& part) {
    if (as_stored) return spread_out(block, v, tiled);
    spread_out(block, converted<S, S>(part, true, args.dim, block.v, block.width), tiled);
  };
  spread_part(stored<R>(in_ring, true), in_ring);
  clear(block.decay, block.lanes, 1.0f);
  spread_part(stored<T>(behind, true), behind);
}

// The rows of which some value is no number, a bit each.
inline std::uint64_t without_a_number(const SlidingWindowAttentionArgs& args, const Block& block) {
  std::uint64_t rows = 0;
  for (Index r = 0; r < block.rows; ++r) {
    const float* out = block.out + r * block.width;
    bool bad = false;
    for (Index d = 0; d < args.dim; ++d) bad |= out[d] != out[d];
    rows |= std::uint64_t(bad) << r;
  }
  return rows;
}

template <class T>
void write_out(const SlidingWindowAttentionArgs& args, Index batch, Index kv_head, const Block& block) {
  const Index group = args.heads / args.kv_heads;
  for (Index r = 0; r < block.rows; ++r) {
    const Index row = block.first_row + r, head = kv_head * group + row % group;
    T* to = static_cast<T*>(args.out) + batch * args.out_batch + head * args.out_head + row / group * args.out_row;
    const float* from = block.out + r * block.width;
    const float inverse = 1.0f / block.total[r];
    for (Index d = 0; d < args.dim; d += kLanes) {
      const Vec value = load(from + d) * inverse + 0.0f;  // keys that are not seen may have made -0 of 0
      store_part(to + d, value, int(least(kLanes, args.dim - d)));
    }
  }
}

void carve(float* scratch, Block& block) {
  const auto take = [&scratch](Index floats) { return std::exchange(scratch, scratch + floats); };
  block.q = take(block.lanes * block.width);
  block.out = take(block.padded_rows * block.width);
  block.scores = take(block.padded_rows * kBlockKeys);
  block.k = take(kBlockKeys * block.width);
  block.v = take(kBlockKeys * block.width);
  block.largest = take(block.lanes);
  block.total = take(block.lanes);
  block.decay = take(block.lanes);
  block.low = reinterpret_cast<std::int32_t*>(take(block.lanes));
  block.high = reinterpret_cast<std::int32_t*>(take(block.lanes));
}

template <class T, class R, class Mac>
void attend_rows(const SlidingWindowAttentionArgs& args, Index batch, Index kv_head, Index first_row, Index rows,
                 float* scratch) {
  const Index group = args.heads / args.kv_heads;
  Block block{};
  block.first_row = first_row;
  block.rows = rows;
  block.ordered = args.queries <= kOrdered;
  const bool tiled = block.rows > (kIsFloat<R> ? least(kVectorRows, kLanes / 2) : kVectorRows);
  const bool halves = tiled && block.rows <= kLanes / 2 && args.dim % 4 == 0;  // whole pairs of words
  block.lanes = round_up(block.rows, kLanes);
  block.padded_rows = halves ? kLanes / 2 : block.lanes;
  block.width = round_up(args.dim, kLanes);
  carve(scratch, block);

  const Index ring_first = most(0, args.ring_end - args.capacity);
  const Index first_query = args.ring_end + args.tail - args.queries;
  const auto low = [&](Index row) { return most(ring_first, first_query + row / group - args.window + 1); };
  const Index begin = low(first_row), first_block = begin / kBlockKeys * kBlockKeys;
  const Index end = first_query + (first_row + rows - 1) / group + 1;
  for (Index i = 0; i < block.lanes; ++i) {
    const Index row = first_row + least(i % block.padded_rows, rows - 1);
    block.low[i] = std::int32_t(low(row) - first_block);
    block.high[i] = std::int32_t(first_query + row / group - first_block);
  }
  clear(block.largest, block.lanes, kMasked);
  clear(block.total, block.lanes, 0.0f);
  clear(block.out, block.padded_rows * block.width, 0.0f);

  if (tiled) {
    load_queries_tiled<T, Mac>(args, batch, kv_head, block);
  } else {
    load_queries_vector<T, Mac>(args, batch, kv_head, block);
  }
  for (Index at = first_block; at < end; at += kBlockKeys) {
    Keys keys = keys_at<T, R>(args, batch, kv_head, at, most(at, begin), end);
    keys.first = at - first_block;
    if (std::is_same_v<T, R> || !keys.has(true)) {
      attend_stored<T, Mac>(args, block, keys, tiled);
    } else if (!keys.has(false)) {
      attend_stored<R, Mac>(args, block, keys, tiled);
    } else {
      attend_both<T, R>(args, block, keys, tiled);
    }
  }
  // 0 times an infinite value that a row does not see is no number either: a row with one is summed again, alone.
  const std::uint64_t again = first_row / group < (first_row + rows - 1) / group ? without_a_number(args, block) : 0;
  write_out<T>(args, batch, kv_head, block);
  for (Index r = 0; again >> r; ++r) {
    if (again >> r & 1) attend_rows<T, R, Mac>(args, batch, kv_head, first_row + r, 1, scratch);
  }
}

// The call of one stream alone: a batch of one, at the first of its slot and of its tail.
template <class T, class R>
SlidingWindowAttentionArgs of_stream(const SlidingWindowAttentionArgs& args, Index stream) {
  const std::int32_t* where = args.streams + 4 * stream;
  SlidingWindowAttentionArgs one = args;
  const Index row = where[0] * args.kv_heads * args.capacity, first = where[2];
  one.ring_k = static_cast<const R*>(args.ring_k) + row * args.dim;
  one.ring_v = static_cast<const R*>(args.ring_v) + row * args.dim;
  if (args.ring_k_scales) one.ring_k_scales += row, one.ring_v_scales += row;
  one.tail_k = static_cast<const T*>(args.tail_k) + first * args.tail_k_row;
  one.tail_v = static_cast<const T*>(args.tail_v) + first * args.tail_v_row;
  one.ring_end = where[1], one.tail = where[3];
  one.q = static_cast<const T*>(args.q) + stream * args.q_batch;
  one.out = static_cast<T*>(args.out) + stream * args.out_batch;
  return one;
}

template <class T, class R, class Mac>
void attend(const SlidingWindowAttentionArgs& args, Index task, float* scratch) {
  const Index all_rows = args.queries * (args.heads / args.kv_heads);
  const Index row_blocks = divide_up(all_rows, args.rows_per_task), first_row = task % row_blocks * args.rows_per_task;
  const Index batch = task / (row_blocks * args.kv_heads), kv_head = task / row_blocks % args.kv_heads;
  const Index rows = least(args.rows_per_task, all_rows - first_row);
  if (args.streams) {
    return attend_rows<T, R, Mac>(of_stream<T, R>(args, batch), 0, kv_head, first_row, rows, scratch);
  }
  attend_rows<T, R, Mac>(args, batch, kv_head, first_row, rows, scratch);
}

template <class T, class Mac>
void attend_typed(const SlidingWindowAttentionArgs& args, Index task, float* scratch) {
  if (args.ring_k_scales) return attend<T, std::int8_t, Floats>(args, task, scratch);
  attend<T, T, Mac>(args, task, scratch);
}

void task(const SlidingWindowAttentionArgs& args, Index task, float* scratch) {
  switch (args.dtype) {
    case Dtype::float32:
      return attend_typed<float, Floats>(args, task, scratch);
    case Dtype::float16:
      return attend_typed<Half, Floats>(args, task, scratch);
    case Dtype::bfloat16:
      if (kHasPairs && args.dim % 2 == 0) return attend_typed<Bfloat, Bfloat16Pairs>(args, task, scratch);
      return attend_typed<Bfloat, Floats>(args, task, scratch);
  }
}

Index rows_of_a_group(const SlidingWindowAttentionArgs& args) {
  return args.queries * (args.heads / most(args.kv_heads, 1));
}

Index work(const SlidingWindowAttentionArgs& args) {
  const Index most_keys = args.window + args.queries - 1;
  Index keys = args.batch * least(most_keys, args.ring_end + args.tail);
  if (args.streams) {
    keys = 0;
    for (Index i = 0; i < args.batch; ++i) {
      keys += least(most_keys, Index(args.streams[4 * i + 1]) + args.streams[4 * i + 3]);
    }
  }
  return keys * args.kv_heads * rows_of_a_group(args) * args.dim;
}

Tasks cut(SlidingWindowAttentionArgs& args, Index threads) {
  constexpr Index kRows = 64;
  const Index rows = rows_of_a_group(args), heads = args.batch * args.kv_heads;
  Index blocks = divide_up(rows, kRows);
  if (threads > 1 && heads % threads != 0) blocks = most(blocks, least(divide_up(rows, kLanes), threads));
  args.rows_per_task = round_up(divide_up(rows, blocks), least(rows, kLanes));
  const Index padded = round_up(args.rows_per_task, kLanes), width = round_up(args.dim, kLanes);
  return {heads * divide_up(rows, args.rows_per_task), 2 * padded * width + 64 * padded + 2 * 64 * width + 5 * padded};
}

}  // namespace

extern const Kernel<SlidingWindowAttentionArgs> VOXTRAL_KERNEL(sliding_window_attention){work, cut, task};

}  // namespace voxtral::cpu
