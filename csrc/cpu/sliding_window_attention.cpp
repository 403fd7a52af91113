// softmax(scale * q k^T) v over the keys [position - window + 1, position] of each query, straight out of ring and
// tail.
//
// A task takes one block of rows of one key-value head; a row is a (query, head of the group) pair, query-major, so
// that the group shares every load of K and V. Keys come in blocks of contiguous storage (a ring that wraps gives two),
// with an online softmax over the blocks. Few rows ("vector"): lanes along head_dim for the scores. More ("tiled"):
// lanes along rows; rows that fill half a vector at most share it, each with the even and the odd words of its sums.
// A ring of 8 bits is summed as it is: a key's scale goes to its scores, a value's to its weights.
#include "attention_block.h"
#include "kernels.h"
#include "online_softmax.h"
#include "tile.h"

namespace voxtral::cpu {
namespace {

constexpr Index kVectorRows = 4;  // the vector variant's most rows

template <class T>
constexpr bool kIsFloat = sizeof(T) == 4;
template <class T>
constexpr bool kIsScaled = std::is_same_v<T, std::int8_t>;

template <class T>
const T* query_row(const SlidingWindowAttentionArgs& args, Index batch, Index kv_head, Index row) {
  const Index group = args.heads / args.kv_heads, head = kv_head * group + row % group;
  return static_cast<const T*>(args.q) + batch * args.q_batch + head * args.q_head + row / group * args.q_row;
}

template <class T, class Mac>
void load_queries_vector(const SlidingWindowAttentionArgs& args, Index batch, Index kv_head, const Block& block) {
  for (Index r = 0; r < block.rows; ++r) {
    const T* row = query_row<T>(args, batch, kv_head, block.first_row + r);
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

// What is no float32 is converted as it is read, where it is read once as whole vectors; otherwise before.
template <class T, class Mac>
void attend_keys(const SlidingWindowAttentionArgs& args, const Block& block, const Keys& keys, bool tiled) {
  const T *k = static_cast<const T*>(keys.k), *v = static_cast<const T*>(keys.v);
  const Index width = block.width, count = keys.count;
  const bool whole = width == args.dim;
  const Ahead<T> ahead{keys, args.dim};
  if (tiled) {
    if constexpr (Mac::kPairs) {
      scores_tiled<Mac>(block, k, keys.k_row, args.dim / 2, count, ahead);
    } else if (kIsFloat<T> && whole) {
      scores_tiled<Mac>(block, static_cast<const float*>(keys.k), keys.k_row, args.dim, count, ahead);
    } else {
      to_float_rows(k, keys.k_row, count, args.dim, block.k, width);
      scores_tiled<Mac>(block, block.k, width, args.dim, count, ahead);
    }
    if constexpr (kIsScaled<T>) scale_keys<false>(block, keys.k_scales, count, tiled);
    if (block.padded_rows < kLanes) {
      softmax_tiled<2>(block, keys, args.scale);
    } else {
      softmax_tiled<1>(block, keys, args.scale);
    }
  } else {
    if (Mac::kPairs || whole) {
      scores_vector<Mac>(block, k, keys.k_row, Mac::kPairs ? args.dim / 2 : args.dim, count, ahead);
    } else {  // zeros beyond dim
      to_float_rows(k, keys.k_row, count, args.dim, block.k, width);
      scores_vector<Floats>(block, block.k, width, width, count, ahead);
    }
    if constexpr (kIsScaled<T>) scale_keys<false>(block, keys.k_scales, count, tiled);
    softmax_vector(block, keys, args.scale);
  }
  if constexpr (kIsScaled<T>) scale_keys<true>(block, keys.v_scales, count, tiled);
  const auto spread_out = [&](const auto* from, Index from_row) {
    if (tiled) {
      spread<1>(block, block.padded_rows, from, from_row, count);
    } else {
      spread<kBlockKeys>(block, 1, from, from_row, count);
    }
  };
  if (whole && (kIsFloat<T> || block.rows <= kSpreadRows)) {
    spread_out(v, keys.v_row);
  } else {
    to_float_rows(v, keys.v_row, count, args.dim, block.v, width);
    spread_out(block.v, width);
  }
}

// The longest run of keys from `position` that is contiguous in storage; R: of the ring.
template <class T, class R>
Keys keys_at(const SlidingWindowAttentionArgs& args, Index batch, Index kv_head, Index position, Index end) {
  Keys keys{};
  keys.count = least(kBlockKeys, end - position);
  if (position < args.ring_end) {
    const Index slot = position % args.capacity;
    const Index row = (batch * args.kv_heads + kv_head) * args.capacity + slot, offset = row * args.dim;
    keys.count = least(keys.count, least(args.ring_end - position, args.capacity - slot));
    keys.k = static_cast<const R*>(args.ring_k) + offset;
    keys.v = static_cast<const R*>(args.ring_v) + offset;
    keys.k_row = keys.v_row = args.dim;
    if constexpr (kIsScaled<R>) keys.k_scales = args.ring_k_scales + row, keys.v_scales = args.ring_v_scales + row;
    return keys;
  }
  const Index at = position - args.ring_end;
  keys.k = static_cast<const T*>(args.tail_k) + batch * args.tail_k_batch + kv_head * args.tail_k_head +
           at * args.tail_k_row;
  keys.v = static_cast<const T*>(args.tail_v) + batch * args.tail_v_batch + kv_head * args.tail_v_head +
           at * args.tail_v_row;
  keys.k_row = args.tail_k_row;
  keys.v_row = args.tail_v_row;
  return keys;
}

// 0 times an infinite value that a row does not see is no number either: a row with one is summed again, key by key.
template <class T, class R>
void attend_row(const SlidingWindowAttentionArgs& args, Index batch, Index kv_head, const Block& block, Index r) {
  const Index row = block.first_row + r, dim = args.dim;
  const Index last = args.ring_end + args.tail - args.queries + row / (args.heads / args.kv_heads);
  float *q = block.k, *k = block.k + block.width, *v = block.v, *out = block.out + r * block.width;
  to_float_rows(query_row<T>(args, batch, kv_head, row), 0, 1, dim, q, block.width);
  clear(out, block.width, 0.0f);
  float largest = kMasked, total = 0.0f;
  for (Index position = most(most(0, args.ring_end - args.capacity), last - args.window + 1); position <= last;
       ++position) {
    const Keys keys = keys_at<T, R>(args, batch, kv_head, position, position + 1);
    const auto read = [&]<class S>(const S*) {
      to_float_rows(static_cast<const S*>(keys.k), 0, 1, dim, k, block.width);
      to_float_rows(static_cast<const S*>(keys.v), 0, 1, dim, v, block.width);
    };
    const bool in_ring = position < args.ring_end;
    in_ring ? read(static_cast<const R*>(nullptr)) : read(static_cast<const T*>(nullptr));
    const float k_scale = kIsScaled<R> && in_ring ? *keys.k_scales : 1.0f;
    const float v_scale = kIsScaled<R> && in_ring ? *keys.v_scales : 1.0f;
    float score = 0.0f;
    for (Index d = 0; d < dim; ++d) score += q[d] * k[d];
    score *= k_scale * args.scale;
    const float before = std::exchange(largest, score > largest ? score : largest);
    const float decay = exp_nonpositive(splat(before - largest))[0], p = exp_nonpositive(splat(score - largest))[0];
    total = total * decay + p;
    for (Index d = 0; d < dim; ++d) out[d] = out[d] * decay + p * (v[d] * v_scale);
  }
  block.total[r] = total;
}

template <class T, class R>
void attend_rows_without_a_number(const SlidingWindowAttentionArgs& args, Index batch, Index kv_head,
                                  const Block& block) {
  for (Index r = 0; r < block.rows; ++r) {
    const float* out = block.out + r * block.width;
    bool bad = false;
    for (Index d = 0; d < args.dim; ++d) bad |= out[d] != out[d];
    if (bad) attend_row<T, R>(args, batch, kv_head, block, r);
  }
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
      store_part(to + d, load(from + d) * inverse, int(least(kLanes, args.dim - d)));
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
void attend(const SlidingWindowAttentionArgs& args, Index task, float* scratch) {
  const Index group = args.heads / args.kv_heads, all_rows = args.queries * group;
  const Index row_blocks = (all_rows + args.rows_per_task - 1) / args.rows_per_task;
  const Index batch = task / (row_blocks * args.kv_heads), kv_head = task / row_blocks % args.kv_heads;
  Block block{};
  block.first_row = task % row_blocks * args.rows_per_task;
  block.rows = least(args.rows_per_task, all_rows - block.first_row);
  const bool tiled = block.rows > least(kVectorRows, kLanes / 2);
  const bool halves = tiled && block.rows <= kLanes / 2 && args.dim % 4 == 0;  // whole pairs of words
  block.lanes = round_up(block.rows, kLanes);
  block.padded_rows = halves ? kLanes / 2 : block.lanes;
  block.width = round_up(args.dim, kLanes);
  carve(scratch, block);

  const Index ring_first = most(0, args.ring_end - args.capacity);
  const Index first_query = args.ring_end + args.tail - args.queries;
  const auto low = [&](Index row) { return most(ring_first, first_query + row / group - args.window + 1); };
  const Index begin = low(block.first_row);
  const Index end = first_query + (block.first_row + block.rows - 1) / group + 1;
  for (Index i = 0; i < block.lanes; ++i) {
    const Index row = block.first_row + least(i % block.padded_rows, block.rows - 1);
    block.low[i] = std::int32_t(low(row) - begin);
    block.high[i] = std::int32_t(first_query + row / group - begin);
  }
  clear(block.largest, block.lanes, kMasked);
  clear(block.total, block.lanes, 0.0f);
  clear(block.out, block.padded_rows * block.width, 0.0f);

  if (tiled) {
    load_queries_tiled<T, Mac>(args, batch, kv_head, block);
  } else {
    load_queries_vector<T, Mac>(args, batch, kv_head, block);
  }
  for (Index position = begin; position < end;) {
    Keys keys = keys_at<T, R>(args, batch, kv_head, position, end);
    keys.first = position - begin;
    if (position < args.ring_end) {
      attend_keys<R, Mac>(args, block, keys, tiled);
    } else {
      attend_keys<T, Mac>(args, block, keys, tiled);
    }
    position += keys.count;
  }
  if (args.queries > 1) attend_rows_without_a_number<T, R>(args, batch, kv_head, block);  // else all keys are seen
  write_out<T>(args, batch, kv_head, block);
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
  const Index keys = least(args.window + args.queries - 1, args.ring_end + args.tail);
  return args.batch * args.kv_heads * rows_of_a_group(args) * keys * args.dim;
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
