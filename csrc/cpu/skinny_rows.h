// A task's rows as operands of the products: normed, in float32, laid out as the weight's numbers stand.
#pragma once

#include "gain.h"
#include "skinny_pairs.h"

namespace voxtral::cpu {
namespace {

// Rows that share a tile, columns that are finished together: a multiple of kLanes and of every tile's width.
#if defined(__AVX512F__)
constexpr Index kBlockRows = 8, kGroup = 48;
constexpr int kTileColumns = 12;
#elif defined(__aarch64__)
constexpr Index kBlockRows = 8, kGroup = 16;
constexpr int kTileColumns = 4;
#else
constexpr Index kBlockRows = 4, kGroup = 24;
constexpr int kTileColumns = 6;
#endif

// Rows of the tile for so many of a block: those beyond are zeros.
inline Index tile_rows(Index rows) { return rows <= 4 ? rows : rows <= 6 ? 6 : 8; }
// The same for any number of rows.
inline Index padded_rows(Index rows) { return rows / kBlockRows * kBlockRows + tile_rows(rows % kBlockRows); }

// Where a task's operands and sums stand.
struct Scratch {
  Index rows, width, groups;               // with the padding; of a row of operands; of a row of the weight
  float *operands, *row, *gain;            // [rows, width], [width], [width]
  float *scales, *biases, *sums, *values;  // 2 x [kGroup, groups], [kGroup, rows, kLanes], [kGroup]
  float* group_sums;                       // [rows, padded(groups)]: of a row's elements

  Scratch(const SkinnyLinearArgs& args, Index given, float* at)
      : rows(padded_rows(given)), width(round_up(args.k, 128)), groups(groups_of(args)) {
    const auto take = [&at](Index n) { return std::exchange(at, at + n); };
    operands = take(rows * width), row = take(width), gain = take(width);
    scales = take(kGroup * groups), biases = take(kGroup * groups);
    sums = take(kGroup * rows * kLanes), values = take(kGroup);
    group_sums = take(rows * padded(groups));
  }
  // What is read a vector at a time may begin with the last group.
  static Index padded(Index groups) { return round_up(groups, kLanes) + kLanes; }
  static Index groups_of(const SkinnyLinearArgs& args) { return args.scales ? args.k / args.group : 0; }
  static Index size(const SkinnyLinearArgs& args, Index given) {
    const Index rows = padded_rows(given);
    return (rows + 2) * round_up(args.k, 128) + kGroup * (2 * groups_of(args) + rows * kLanes + 1) +
           rows * padded(groups_of(args));
  }
};

// Floats or pairs of a row of operands.
template <class W>
Index words_of_row(const Scratch& s) {
  return W::Mac::kPairs ? s.width / 2 : s.width;
}

// A row's x + residual in float32, zeros behind; writes h where this task does.
template <class T>
void load_row(const SkinnyLinearArgs& args, Index r, bool writes, float* row, Index width) {
  const T* x = static_cast<const T*>(args.x) + r * args.k;
  const T* residual = args.residual ? static_cast<const T*>(args.residual) + r * args.k : nullptr;
  T* h = writes && args.h ? static_cast<T*>(args.h) + r * args.k : nullptr;
  for (Index d = 0; d < args.k; d += kLanes) {
    const int part = int(least(kLanes, args.k - d));
    Vec v = load_part(x + d, part);
    if (residual) {
      T rounded[kLanes];
      v = add_rounded(v, load_part(residual + d, part), rounded);
      if (h) store_part(h + d, v, part);
    }
    store(row + d, v);
  }
  for (Index d = round_up(args.k, kLanes); d < width; d += kLanes) store(row + d, Vec{});
}

// The padded part of a row adds zero.
inline void norm_row(const SkinnyLinearArgs& args, const float* gain, float* row, Index width) {
  Vec sums[4] = {};
  for (Index d = 0; d < width; d += 4 * kLanes) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const Vec v = load(row + d + i * kLanes);
      sums[i] = v * v + sums[i];
    }
  }
  const float squares = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  const float inverse = 1.0f / __builtin_sqrtf(squares / float(args.k) + args.eps);
  for (Index d = 0; d < args.k; d += kLanes) {
    const int part = int(least(kLanes, args.k - d));
    store_part(row + d, load(row + d) * inverse * load_part(gain + d, part), part);
  }
}

// Row `i` of a block of `rows`, as [chunks, kVecs, rows] vectors.
template <class W>
void lay_out(const float* row, Index k, Index rows, float* block, Index i) {
  for (Index c = 0; c * kChunk<W> < k; ++c) {
    Vec v[W::kVecs];
    if constexpr (W::Mac::kPairs) {
      [&]<int... P>(std::integer_sequence<int, P...>) {
        ((v[P] = W::template operand<P>(row + c * kChunk<W>)), ...);
      }(std::make_integer_sequence<int, W::kVecs>{});
    } else {
      for (int p = 0; p < W::kVecs; ++p) v[p] = load(row + c * kChunk<W> + p * kLanes);
      if constexpr (W::kSplit == 2) split<W::kVecs>(v);
    }
    for (int p = 0; p < W::kVecs; ++p) store(block + ((c * W::kVecs + p) * rows + i) * kLanes, v[p]);
  }
}

// What the groups of a row add up to.
inline void sum_groups(const float* row, Index group, Index groups, float* sums) {
  __builtin_memset(sums, 0, std::size_t(Scratch::padded(groups)) * 4);
  for (Index g = 0; g < groups; ++g) {
    Vec total{};
    for (Index d = g * group; d < (g + 1) * group; d += kLanes) total += load(row + d);
    sums[g] = sum(total);
  }
}

template <class T, class W>
void prologue(const SkinnyLinearArgs& args, Index first, Index rows, bool writes, const Scratch& s) {
  Index gain_row = -1;
  for (Index i = 0; i < s.rows; ++i) {
    const Index r = first + i, block = i / kBlockRows * kBlockRows;
    if (i < rows) {
      load_row<T>(args, r, writes, s.row, s.width);
      if (args.norm) {
        if (gain_row != r / args.rows_per_scale) {
          gain_row = r / args.rows_per_scale;
          const char* scale = static_cast<const char*>(args.scale);
          if (scale) scale += gain_row * args.k * item_size(args.scale_dtype);
          fill_gain(args.dtype, args.norm, args.scale_dtype, scale, args.k, s.gain);
        }
        norm_row(args, s.gain, s.row, s.width);
      }
    } else {
      __builtin_memset(s.row, 0, std::size_t(s.width) * 4);
    }
    if constexpr (W::Mac::kPairs && W::kQuantized) {
      sum_groups(s.row, args.group, s.groups, s.group_sums + i * Scratch::padded(s.groups));
    }
    lay_out<W>(s.row, args.k, least(kBlockRows, s.rows - block), s.operands + block * words_of_row<W>(s), i - block);
  }
}

}  // namespace
}  // namespace voxtral::cpu
