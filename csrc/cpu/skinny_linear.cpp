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

// What a task takes: rows [row, row + rows) times columns [first, last).
struct Part {
  Index row, rows, first, last;
};

template <class T, class W>
void multiply_part(const SkinnyLinearArgs& args, const Part& part, float* scratch) {
  const Scratch s(args, part.rows, scratch);
  prologue<T, W>(args, part.row, part.rows, part.first == 0, s);
  if (args.rotation && part.row == 0) copy_tails(args, part.first, part.last);
  for (Index column = part.first; column < part.last; column += kGroup) {
    const Index width = least(kGroup, part.last - column);
    if constexpr (W::kQuantized) {
      with_type(args.scales_dtype, [&]<class S>() { load_scales<S>(args, column, width, s); });
    }
    products<W>(args, column, width, s);
    epilogue<T>(args, part.row, part.rows, column, width, s);
  }
}

// Whether a row's sums of numbers up to 15 and of its elements are finite.
template <class T>
bool is_moderate(const SkinnyLinearArgs& args, Index r) {
  constexpr std::uint16_t kLargest = (127 + 100) << 7;  // 2^100
  for (const void* rows : {args.x, args.residual}) {
    if (!rows) continue;
    const T* row = static_cast<const T*>(rows) + r * args.k;
    bool found = true;
    for (Index d = 0; d < args.k; ++d) found &= (row[d].bits & 0x7fff) < kLargest;
    if (!found) return false;
  }
  return true;
}

// The numbers times bfloat16 rows before their scale; rows that would not be finite take floats, as their sums are then.
template <class T>
void multiply_nibbles(const SkinnyLinearArgs& args, Part part, float* scratch) {
  for (const Index end = part.row + part.rows; part.row < end; part.row += part.rows) {
    const bool moderate = is_moderate<T>(args, part.row);
    part.rows = 1;
    while (part.row + part.rows < end && is_moderate<T>(args, part.row + part.rows) == moderate) ++part.rows;
    moderate ? multiply_part<T, PairedNibbles>(args, part, scratch)
             : multiply_part<T, ByteWeights<4>>(args, part, scratch);
  }
}

template <class T>
using Plain = std::conditional_t<sizeof(T) == 4, FloatWeights,
                                 std::conditional_t<std::is_same_v<T, Half>, HalfWeights, BfloatWeights>>;

template <class T, bool Paired>
void multiply_bits(const SkinnyLinearArgs& args, const Part& part, float* scratch) {
  switch (args.scales ? args.bits : 0) {
    case 2:
      return multiply_part<T, StreamWeights<2>>(args, part, scratch);
    case 3:
      return multiply_part<T, StreamWeights<3>>(args, part, scratch);
    case 4:
      if constexpr (Paired) return multiply_nibbles<T>(args, part, scratch);
      return multiply_part<T, ByteWeights<4>>(args, part, scratch);
    case 5:
      return multiply_part<T, StreamWeights<5>>(args, part, scratch);
    case 6:
      return multiply_part<T, StreamWeights<6>>(args, part, scratch);
    case 8:
      return multiply_part<T, ByteWeights<8>>(args, part, scratch);
    default:
      return multiply_part<T, std::conditional_t<Paired, PairedBfloats, Plain<T>>>(args, part, scratch);
  }
}

void task(const SkinnyLinearArgs& args, Index task, float* scratch) {
  const Index row_blocks = divide_up(args.rows, args.rows_per_task);
  Part part{task % row_blocks * args.rows_per_task, 0, task / row_blocks * args.columns_per_task, 0};
  part.rows = least(args.rows_per_task, args.rows - part.row);
  part.last = least(part.first + args.columns_per_task, args.n);
  with_type(args.dtype, [&]<class T>() {
    if constexpr (kHasPairs && std::is_same_v<T, Bfloat>) {
      // A normed row is no row of bfloat16 values: rounding it would be seen in the result.
      if (!args.norm) return multiply_bits<T, true>(args, part, scratch);
    }
    multiply_bits<T, false>(args, part, scratch);
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
