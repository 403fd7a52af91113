// softmax(scale * q k^T) v over the keys [position - window + 1, position] of each query, straight out of ring and
// tail.
//
// A task takes one block of rows of one key-value head; a row is a (query, head of the group) pair, query-major, so
// that the group shares every load of K and V. Keys come in blocks of contiguous storage (a ring that wraps gives two),
// with an online softmax over the blocks. Few rows ("vector"): lanes along head_dim for the scores. More ("tiled"):
// lanes along rows.
#include "kernels.h"
#include "online_softmax.h"
#include "tile.h"

namespace voxtral::cpu {
namespace {

constexpr int kAhead = 2048;
constexpr Index kWaitingRows = 32;  // with more, a block's arithmetic takes longer than its way from memory
// Words of a score summed in one go; each product rounds too where there is no fused multiply-add.
#if defined(__FMA__) || defined(__aarch64__)
constexpr int kScoreChunk = 32;
#else
constexpr int kScoreChunk = 8;
#endif
constexpr Index kVectorRows = 4;  // the vector variant's most rows

template <class T>
constexpr bool kIsFloat = sizeof(T) == 4;

// Scores come straight from stored words: floats, or bfloat16 pairs where the instruction set multiplies them.
template <class Mac>
const float* words_at(const void* base, Index elements) {
  return reinterpret_cast<const float*>(static_cast<const char*>(base) + elements * (Mac::kPairs ? 2 : 4));
}

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

template <class T, class Mac>
void load_queries_tiled(const SlidingWindowAttentionArgs& args, Index batch, Index kv_head, const Block& block) {
  using Word = std::conditional_t<Mac::kPairs, float, T>;
  const Index words = Mac::kPairs ? args.dim / 2 : args.dim;
  for (Index first = 0; first < block.padded_rows; first += kLanes) {
    const Word* rows[kLanes] = {};
    for (Index i = 0; i < kLanes && first + i < block.rows; ++i) {
      rows[i] = reinterpret_cast<const Word*>(query_row<T>(args, batch, kv_head, block.first_row + first + i));
    }
    pack_rows(rows, words, block.q + first, block.padded_rows);
  }
}

// The processor's own prefetcher loses the keys while the values stream, and the reverse. So a block's values are asked
// for while its scores are computed, and the next block's keys before the values are needed.
template <class T>
struct Ahead {
  const Keys& block;
  Index dim;

  void values(Index first, Index count) const { ask(block.v, block.v_row, first, count); }
  void next_keys(Index first, Index count) const { ask(block.k, block.k_row, kBlockKeys + first, count); }

 private:
  void ask(const void* base, Index row, Index first, Index count) const {
    for (Index i = first; i < first + count; ++i) {
      const char* at = reinterpret_cast<const char*>(static_cast<const T*>(base) + i * row);
      for (Index byte = 0; byte < dim * Index(sizeof(T)); byte += 64) __builtin_prefetch(at + byte, 0, 2);
    }
  }
};

template <class Mac, class T>
void scores_vector(const Block& block, const float* k, Index k_row, Index words, Index count, Ahead<T> ahead) {
  for (Index j = 0; j < count; j += kDotColumns) {
    ahead.values(j, kDotColumns);
    ahead.next_keys(j, kDotColumns);
    const float* columns[kDotColumns];
    for (Index c = 0; c < kDotColumns; ++c) {  // past the end: the last key again
      columns[c] = words_at<Mac>(k, least(j + c, count - 1) * k_row);
    }
    Index r = 0;
    for (; r + 1 < block.rows; r += kDotRows) {
      const float* rows[kDotRows];
      float sums[kDotRows * kDotColumns];
      for (Index i = 0; i < kDotRows; ++i) rows[i] = block.q + least(r + i, block.rows - 1) * block.width;
      dot_tile<Mac, kDotRows, kAhead>(rows, columns, words, sums, kDotColumns);
      for (Index i = 0; i < kDotRows && r + i < block.rows; ++i) {
        __builtin_memcpy(block.scores + (r + i) * kBlockKeys + j, sums + i * kDotColumns, kDotColumns * 4);
      }
    }
    if (r < block.rows) {
      const float* row = block.q + r * block.width;
      dot_tile<Mac, 1, kAhead>(&row, columns, words, block.scores + r * kBlockKeys + j, kDotColumns);
    }
  }
}

template <class Mac, int RowVecs>
void scores_tiled(const Block& block, Index row, const float* k, Index k_row, Index words, Index count) {
  for (Index j = 0; j < count; j += kColumns) {
    const float* columns[kColumns];
    for (Index c = 0; c < kColumns; ++c) columns[c] = words_at<Mac>(k, least(j + c, count - 1) * k_row);
    rows_tile<Mac, RowVecs, kScoreChunk>(block.q + row, block.padded_rows, columns, words,
                                         block.scores + j * block.padded_rows + row, block.padded_rows, false);
  }
}

template <int Rows>
void spread_rows(const Block& block, Index row, Index p_row, Index p_key, const float* v, Index v_row, Index count) {
  const float* p = block.scores + row * p_row;
  float* out = block.out + row * block.width;
  Index d = 0;
  for (; d + kSpreadVecs * kLanes <= block.width; d += kSpreadVecs * kLanes) {
    spread_tile<Rows, kSpreadVecs>(p, p_row, p_key, v + d, v_row, count, block.decay + row, out + d, block.width);
  }
  for (; d < block.width; d += kLanes) {
    spread_tile<Rows, 1>(p, p_row, p_key, v + d, v_row, count, block.decay + row, out + d, block.width);
  }
}

void spread(const Block& block, Index p_row, Index p_key, const float* v, Index v_row, Index count) {
  Index r = 0;
  for (; r + kSpreadRows <= block.rows; r += kSpreadRows) {
    spread_rows<kSpreadRows>(block, r, p_row, p_key, v, v_row, count);
  }
  for (; r < block.rows; ++r) spread_rows<1>(block, r, p_row, p_key, v, v_row, count);
}

template <class T, class Mac>
void attend_keys(const SlidingWindowAttentionArgs& args, const Block& block, const Keys& keys, bool tiled) {
  // Rows that are no floats, or not whole vectors, are converted to rows that are.
  const bool whole = kIsFloat<T> && block.width == args.dim;
  const float* k = static_cast<const float*>(keys.k);
  Index k_row = keys.k_row, words = Mac::kPairs ? args.dim / 2 : args.dim;
  if (!Mac::kPairs && !whole) {
    to_float_rows(static_cast<const T*>(keys.k), k_row, keys.count, args.dim, block.k, block.width);
    k = block.k;
    k_row = block.width;
  }
  const Ahead<T> ahead{keys, args.dim};
  const bool waits = block.padded_rows <= kWaitingRows;
  if (tiled) {
    if (waits) ahead.values(0, keys.count);
    Index row = 0;
    for (; row + kTileRows <= block.padded_rows; row += kTileRows) {
      scores_tiled<Mac, kRowVecs>(block, row, k, k_row, words, keys.count);
    }
    for (; row < block.padded_rows; row += kLanes) {
      scores_tiled<Mac, 1>(block, row, k, k_row, words, keys.count);
    }
    if (waits) ahead.next_keys(0, kBlockKeys);
    for (row = 0; row < block.padded_rows; row += kLanes) {
      if (is_masked(block, keys, row)) {
        softmax_rows<true>(block, keys, row, args.scale);
      } else {
        softmax_rows<false>(block, keys, row, args.scale);
      }
    }
  } else {
    if (!Mac::kPairs) words = block.width;  // zeros beyond dim
    scores_vector<Mac>(block, k, k_row, words, keys.count, ahead);
    softmax_vector(block, keys, args.scale);
  }
  const float* v = static_cast<const float*>(keys.v);
  Index v_row = keys.v_row;
  if (!whole) {
    to_float_rows(static_cast<const T*>(keys.v), v_row, keys.count, args.dim, block.v, block.width);
    v = block.v;
    v_row = block.width;
  }
  spread(block, tiled ? 1 : kBlockKeys, tiled ? block.padded_rows : 1, v, v_row, keys.count);
}

// The longest run of keys from `position` that is contiguous in storage.
template <class T>
Keys keys_at(const SlidingWindowAttentionArgs& args, Index batch, Index kv_head, Index position, Index end) {
  Keys keys{};
  keys.count = least(kBlockKeys, end - position);
  if (position < args.ring_end) {
    const Index slot = position % args.capacity;
    const Index offset = ((batch * args.kv_heads + kv_head) * args.capacity + slot) * args.dim;
    keys.count = least(keys.count, least(args.ring_end - position, args.capacity - slot));
    keys.k = static_cast<const T*>(args.ring_k) + offset;
    keys.v = static_cast<const T*>(args.ring_v) + offset;
    keys.k_row = keys.v_row = args.dim;
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
  block.q = take(block.padded_rows * block.width);
  block.out = take(block.padded_rows * block.width);
  block.scores = take(block.padded_rows * kBlockKeys);
  block.k = take(kBlockKeys * block.width);
  block.v = take(kBlockKeys * block.width);
  block.largest = take(block.padded_rows);
  block.total = take(block.padded_rows);
  block.decay = take(block.padded_rows);
  block.low = reinterpret_cast<std::int32_t*>(take(block.padded_rows));
  block.high = reinterpret_cast<std::int32_t*>(take(block.padded_rows));
}

template <class T, class Mac>
void attend(const SlidingWindowAttentionArgs& args, Index task, float* scratch) {
  const Index group = args.heads / args.kv_heads, all_rows = args.queries * group;
  const Index row_blocks = (all_rows + args.rows_per_task - 1) / args.rows_per_task;
  const Index batch = task / (row_blocks * args.kv_heads), kv_head = task / row_blocks % args.kv_heads;
  Block block{};
  block.first_row = task % row_blocks * args.rows_per_task;
  block.rows = least(args.rows_per_task, all_rows - block.first_row);
  block.padded_rows = round_up(block.rows, kLanes);
  block.width = round_up(args.dim, kLanes);
  carve(scratch, block);

  const Index ring_first = most(0, args.ring_end - args.capacity);
  const Index first_query = args.ring_end + args.tail - args.queries;
  const auto low = [&](Index row) { return most(ring_first, first_query + row / group - args.window + 1); };
  const Index begin = low(block.first_row);
  const Index end = first_query + (block.first_row + block.rows - 1) / group + 1;
  for (Index i = 0; i < block.padded_rows; ++i) {
    const Index row = block.first_row + least(i, block.rows - 1);
    block.low[i] = std::int32_t(low(row) - begin);
    block.high[i] = std::int32_t(first_query + row / group - begin);
  }
  clear(block.largest, block.padded_rows, kMasked);
  clear(block.total, block.padded_rows, 0.0f);
  clear(block.out, block.padded_rows * block.width, 0.0f);

  const bool tiled = block.rows > least(kVectorRows, kLanes / 2);
  if (tiled) {
    load_queries_tiled<T, Mac>(args, batch, kv_head, block);
  } else {
    load_queries_vector<T, Mac>(args, batch, kv_head, block);
  }
  for (Index position = begin; position < end;) {
    Keys keys = keys_at<T>(args, batch, kv_head, position, end);
    keys.first = position - begin;
    attend_keys<T, Mac>(args, block, keys, tiled);
    position += keys.count;
  }
  write_out<T>(args, batch, kv_head, block);
}

}  // namespace

void VOXTRAL_KERNEL(sliding_window_attention)(const SlidingWindowAttentionArgs& args, Index task, float* scratch) {
  switch (args.dtype) {
    case Dtype::float32:
      return attend<float, Floats>(args, task, scratch);
    case Dtype::float16:
      return attend<Half, Floats>(args, task, scratch);
    case Dtype::bfloat16:
      if (kHasPairs && args.dim % 2 == 0) return attend<Bfloat, Bfloat16Pairs>(args, task, scratch);
      return attend<Bfloat, Floats>(args, task, scratch);
  }
}

}  // namespace voxtral::cpu
