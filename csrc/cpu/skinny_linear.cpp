// y = epilogue(prologue(x) W^T): few rows times a weight whose every byte is read once.
//
// A task takes some columns. It makes its rows' operands, then the sums of kGroup columns at a time for all rows, in
// blocks along k that leave the operands in the first cache. Each tile asks for what the next one reads: that is faster
// than the processor's own guess at where the rows of a weight go on.
#include <type_traits>

#include "rows.h"
#include "skinny_finish.h"
#include "skinny_rows.h"
#include "skinny_scaled.h"

namespace voxtral::cpu {
namespace {

constexpr Index kMostRows = 16;  // of a task
// Words of operands that stay in the first cache beside the weight. Few rows are worth reading out of the second: a block's
// end costs them more than it costs many.
constexpr Index kCached = 6144, kCachedOfFew = 16384;

template <class W>
constexpr bool kScaled = W::kQuantized && W::Mac::kPairs;

template <class W, int Rows>
void block_tiles(const Columns& columns, const Span& span, const float* operands, Vec* sums, Index sums_column) {
  constexpr int kWidth = kScaled<W> ? kScaledWidth<Rows> : kTileWidth<W, Rows>;
  for (int j = 0; j < kTileColumns; j += kWidth) {
    Columns some;
    for (int i = 0; i < kWidth; ++i) {
      some.weight[i] = columns.weight[j + i], some.scales[i] = columns.scales[j + i];
    }
    if constexpr (kScaled<W>) {
      scaled_tile<W, Rows, kWidth>(some, span, operands, sums + j * sums_column, sums_column);
    } else {
      skinny_tile<W, Rows, kWidth>(some, span, operands, sums + j * sums_column, sums_column);
    }
  }
}

template <class W>
void block_of(Index rows, const Columns& columns, const Span& span, const float* operands, Vec* sums, Index column) {
  const auto tiles = [&]<int Rows>() {
    if constexpr (Rows <= kBlockRows) block_tiles<W, Rows>(columns, span, operands, sums, column);
  };
  switch (rows) {
    case 1:
      return tiles.template operator()<1>();
    case 2:
      return tiles.template operator()<2>();
    case 3:
      return tiles.template operator()<3>();
    case 4:
      return tiles.template operator()<4>();
    case 6:
      return tiles.template operator()<6>();
    default:
      return tiles.template operator()<8>();
  }
}

// The sums of columns [first, first + width), width at most kGroup.
template <class W>
void products(const SkinnyLinearArgs& args, Index first, Index width, const Scratch& s) {
  const Index row_bytes = args.k * W::kBits / 8, chunks = divide_up(args.k, kChunk<W>);
  constexpr Index kElements = W::Mac::kPairs ? 2 : 1, kFew = W::Mac::kPairs ? 2 : 4;
  const Index cached = kElements * (s.rows > kFew ? kCached : kCachedOfFew);
  const Index block = most(cached / s.rows / 256 * 256, 256) / kChunk<W>;
  const char* weight = static_cast<const char*>(args.weight) + first * row_bytes;
  auto* sums = reinterpret_cast<Vec*>(s.sums);
  if constexpr (kScaled<W>) {
    begin_sums(s, width, sums);
  } else {
    __builtin_memset(s.sums, 0, std::size_t(kGroup * s.rows) * sizeof(Vec));
  }
  for (Index at = 0; at < chunks; at += block) {
    Span span{at,
              least(at + block, chunks),
              args.k / kChunk<W>,
              0,
              0,
              args.scales ? args.group / kChunk<W> : 1,
              s.biases - s.scales,
              s.groups,
              0,
              {}};
    span.rest = row_bytes - span.whole * kChunkBytes<W>;
    if constexpr (kScaled<W>) {
      span.group_bits = __builtin_ctzll(std::uint64_t(args.group));
      span.lanes = scale_lanes<W>(args.group, Lanes{});
    }
    for (Index j = 0; j < width; j += kTileColumns) {
      Columns columns;
      for (int i = 0; i < kTileColumns; ++i) {
        const Index column = least(j + i, width - 1);
        columns.weight[i] = weight + column * row_bytes;
        columns.scales[i] = s.scales + column * s.groups;
      }
      // The next columns, the next block of the first ones, or the next group.
      const bool last_columns = j + kTileColumns >= width;
      span.ahead = !last_columns        ? kTileColumns * row_bytes
                   : span.last < chunks ? block * kChunkBytes<W> - j * row_bytes
                                        : kTileColumns * row_bytes - at * kChunkBytes<W>;
      for (Index r = 0; r < s.rows; r += kBlockRows) {
        block_of<W>(least(kBlockRows, s.rows - r), columns, span, s.operands + r * words_of_row<W>(s),
                    sums + j * s.rows + r, s.rows);
        span.ahead = 0;
      }
    }
  }
}

// The scales and biases of some columns in float32. They stand one behind the other, as do those of the next columns.
template <class S>
void load_scales(const SkinnyLinearArgs& args, Index first, Index width, const Scratch& s) {
  const Index n = width * s.groups;
  const S* scales = static_cast<const S*>(args.scales) + first * s.groups;
  const S* biases = static_cast<const S*>(args.biases) + first * s.groups;
  for (Index i = 0; i < n; i += kLanes) {
    const int part = int(least(kLanes, n - i));
    ask_for(reinterpret_cast<const char*>(scales + n + i)), ask_for(reinterpret_cast<const char*>(biases + n + i));
    store(s.scales + i, load_part(scales + i, part));
    store(s.biases + i, load_part(biases + i, part));
  }
}

template <class T, class W>
void columns(const SkinnyLinearArgs& args, Index task, float* scratch) {
  const Index row_blocks = divide_up(args.rows, args.rows_per_task);
  const Index first_row = task % row_blocks * args.rows_per_task, first = task / row_blocks * args.columns_per_task;
  const Index rows = least(args.rows_per_task, args.rows - first_row);
  const Index last = least(first + args.columns_per_task, args.n);
  const Scratch s(args, rows, scratch);
  prologue<T, W>(args, first_row, rows, first == 0, s);
  if (args.rotation && first_row == 0) copy_tails(args, first, last);
  for (Index column = first; column < last; column += kGroup) {
    const Index width = least(kGroup, last - column);
    if constexpr (W::kQuantized) {
      with_type(args.scales_dtype, [&]<class S>() { load_scales<S>(args, column, width, s); });
    }
    products<W>(args, column, width, s);
    epilogue<T>(args, first_row, rows, column, width, s);
  }
}

template <class T>
using Plain = std::conditional_t<sizeof(T) == 4, FloatWeights,
                                 std::conditional_t<std::is_same_v<T, Half>, HalfWeights, BfloatWeights>>;

template <class T, bool Paired>
void of_bits(const SkinnyLinearArgs& args, Index task, float* scratch) {
  switch (args.scales ? args.bits : 0) {
    case 2:
      return columns<T, StreamWeights<2>>(args, task, scratch);
    case 3:
      return columns<T, StreamWeights<3>>(args, task, scratch);
    case 4:
      return columns<T, std::conditional_t<Paired, PairedNibbles, ByteWeights<4>>>(args, task, scratch);
    case 5:
      return columns<T, StreamWeights<5>>(args, task, scratch);
    case 6:
      return columns<T, StreamWeights<6>>(args, task, scratch);
    case 8:
      return columns<T, ByteWeights<8>>(args, task, scratch);
    default:
      return columns<T, std::conditional_t<Paired, PairedBfloats, Plain<T>>>(args, task, scratch);
  }
}

void task(const SkinnyLinearArgs& args, Index task, float* scratch) {
  with_type(args.dtype, [&]<class T>() {
    if constexpr (kHasPairs && std::is_same_v<T, Bfloat>) {
      // A normed row is no row of bfloat16 values: rounding it would be seen in the result.
      if (!args.norm) return of_bits<T, true>(args, task, scratch);
    }
    of_bits<T, false>(args, task, scratch);
  });
}

Index work(const SkinnyLinearArgs& args) { return args.rows * args.n * args.k; }

Tasks cut(SkinnyLinearArgs& args, Index threads) {
  args.rows_per_task = least(args.rows, kMostRows);
  const Index row_blocks = divide_up(args.rows, args.rows_per_task);
  // Each task makes the operands anew.
  args.columns_per_task = round_up(threads == 1 ? args.n : divide_up(args.n, 4 * threads), kGroup);
  return {row_blocks * divide_up(args.n, args.columns_per_task), Scratch::size(args, args.rows_per_task)};
}

}  // namespace

extern const Kernel<SkinnyLinearArgs> VOXTRAL_KERNEL(skinny_linear){work, cut, task};

}  // namespace voxtral::cpu
