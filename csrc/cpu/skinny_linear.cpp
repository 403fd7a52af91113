// y = epilogue(prologue(x) W^T): few rows times a weight whose every byte is read once.
//
// A task takes some columns. It makes its rows' operands, then the sums of kGroup columns at a time for all rows, in
// blocks along k that leave the operands in the first cache. Each tile asks for what the next one reads: that is faster
// than the processor's own guess at where the rows of a weight go on.
#include <type_traits>

#include "rows.h"
#include "skinny_finish.h"
#include "skinny_rows.h"
#include "skinny_tile.h"

namespace voxtral::cpu {
namespace {

constexpr Index kMostRows = 16;   // of a task
constexpr Index kCached = 4096;   // floats of operands that stay in the first cache beside the weight
constexpr Index kLongest = 2048;  // floats of a row of them

template <class W, int Rows>
void block_tiles(const Columns& columns, const Span& span, const float* operands, Vec* sums, Index sums_column) {
  constexpr int kWidth = kTileWidth<W, Rows>;
  for (int j = 0; j < kTileColumns; j += kWidth) {
    Columns some = columns;
    for (int i = 0; i < kWidth; ++i) some.weight[i] = columns.weight[j + i], some.scales[i] = columns.scales[j + i];
    skinny_tile<W, Rows, kWidth>(some, span, operands, sums + j * sums_column, sums_column);
  }
}

template <class W>
void block_of(Index rows, const Columns& columns, const Span& span, const float* operands, Vec* sums, Index column) {
  switch (rows) {
    case 1:
      return block_tiles<W, 1>(columns, span, operands, sums, column);
    case 2:
      return block_tiles<W, 2>(columns, span, operands, sums, column);
    case 3:
      return block_tiles<W, 3>(columns, span, operands, sums, column);
    default:
      return block_tiles<W, kBlockRows>(columns, span, operands, sums, column);
  }
}

// The sums of columns [first, first + width), width at most kGroup.
template <class W>
void products(const SkinnyLinearArgs& args, Index first, Index width, Index rows, const Scratch& s) {
  const Index row_bytes = args.k * W::kBits / 8, chunks = divide_up(args.k, kChunk<W>);
  const Index block = most(least(kCached / rows, kLongest) / 256 * 256, 256) / kChunk<W>;
  const char* weight = static_cast<const char*>(args.weight) + first * row_bytes;
  auto* sums = reinterpret_cast<Vec*>(s.sums);
  __builtin_memset(s.sums, 0, std::size_t(kGroup * rows) * sizeof(Vec));
  for (Index at = 0; at < chunks; at += block) {
    Span span{at, least(at + block, chunks), args.k / kChunk<W>, 0, 0, args.scales ? __builtin_ctzll(args.group) : 0};
    span.rest = row_bytes - span.whole * kChunkBytes<W>;
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
      for (Index r = 0; r < rows; r += kBlockRows) {
        block_of<W>(least(kBlockRows, rows - r), columns, span, s.operands + r * s.width, sums + j * rows + r, rows);
        span.ahead = 0;
      }
    }
  }
}

// The scales of some columns and the biases of their centred numbers in float32, zeros behind.
template <class S>
void load_scales(const SkinnyLinearArgs& args, Index first, Index width, const Scratch& s) {
  const Index groups = args.k / args.group;
  __builtin_memset(s.scales, 0, std::size_t(2 * kGroup * s.groups) * 4);
  for (Index j = 0; j < width; ++j) {
    const S* scales = static_cast<const S*>(args.scales) + (first + j) * groups;
    const S* biases = static_cast<const S*>(args.biases) + (first + j) * groups;
    for (Index g = 0; g < groups; g += kLanes) {
      const int part = int(least(kLanes, groups - g));
      const Vec scale = load_part(scales + g, part);
      store(s.scales + j * s.groups + g, scale);
      store(s.biases + j * s.groups + g, scale * splat(middle(args.bits)) + load_part(biases + g, part));
    }
  }
}

// A group's bias times the sum of its x, for all columns and rows.
void add_biases(Index width, Index rows, const Scratch& s) {
  auto* sums = reinterpret_cast<Vec*>(s.sums);
  for (Index j = 0; j < width; ++j) {
    for (Index r = 0; r < rows; ++r) {
      Vec total{};
      for (Index g = 0; g < s.groups; g += kLanes) {
        total = load(s.biases + j * s.groups + g) * load(s.group_sums + r * s.groups + g) + total;
      }
      sums[j * rows + r] += total;
    }
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
    products<W>(args, column, width, rows, s);
    if constexpr (W::kQuantized) add_biases(width, rows, s);
    epilogue<T>(args, first_row, rows, column, width, s);
  }
}

template <class T>
using Plain = std::conditional_t<sizeof(T) == 4, FloatWeights,
                                 std::conditional_t<std::is_same_v<T, Half>, HalfWeights, BfloatWeights>>;

template <class T>
void of_bits(const SkinnyLinearArgs& args, Index task, float* scratch) {
  switch (args.scales ? args.bits : 0) {
    case 2:
      return columns<T, StreamWeights<2>>(args, task, scratch);
    case 3:
      return columns<T, StreamWeights<3>>(args, task, scratch);
    case 4:
      return columns<T, PackedWeights<4>>(args, task, scratch);
    case 5:
      return columns<T, StreamWeights<5>>(args, task, scratch);
    case 6:
      return columns<T, StreamWeights<6>>(args, task, scratch);
    case 8:
      return columns<T, PackedWeights<8>>(args, task, scratch);
    default:
      return columns<T, Plain<T>>(args, task, scratch);
  }
}

void task(const SkinnyLinearArgs& args, Index task, float* scratch) {
  with_type(args.dtype, [&]<class T>() { of_bits<T>(args, task, scratch); });
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
