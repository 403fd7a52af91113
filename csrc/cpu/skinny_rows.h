// A task's rows as operands of the products: normed, in float32, laid out as the weight's numbers stand.
#pragma once

#include "gain.h"
#include "skinny_weights.h"

namespace voxtral::cpu {
namespace {

constexpr int kBlockRows = 4;                    // that share a tile
constexpr Index kGroup = kLanes < 16 ? 24 : 16;  // columns that are finished together, a multiple of kLanes

// Where a task's operands and sums stand.
struct Scratch {
  Index width, groups;                        // a row of operands; groups of a row, rounded up to a vector
  float *operands, *row, *gain, *group_sums;  // [rows, width], [width], [width], [rows, groups]
  float *scales, *biases, *sums, *values;     // 2 x [kGroup, groups], [kGroup, rows, kLanes], [rows, kGroup]

  Scratch(const SkinnyLinearArgs& args, Index rows, float* at) : width(round_up(args.k, 128)), groups(groups_of(args)) {
    const auto take = [&at](Index n) { return std::exchange(at, at + n); };
    operands = take(rows * width), row = take(width), gain = take(width), group_sums = take(rows * groups);
    scales = take(kGroup * groups), biases = take(kGroup * groups);
    sums = take(kGroup * rows * kLanes), values = take(rows * kGroup);
  }
  static Index groups_of(const SkinnyLinearArgs& args) {
    return args.scales ? round_up(args.k / args.group, kLanes) + kLanes : 0;
  }
  static Index size(const SkinnyLinearArgs& args, Index rows) {
    const Index width = round_up(args.k, 128), groups = groups_of(args);
    return (rows + 2) * width + (rows + 2 * kGroup) * groups + rows * kGroup * (kLanes + 1);
  }
};

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
    for (int p = 0; p < W::kVecs; ++p) v[p] = load(row + c * kChunk<W> + p * kLanes);
    if constexpr (W::kSplit > 1) split<W::kSplit>(v);
    for (int p = 0; p < W::kVecs; ++p) {
      store(block + ((c * W::kVecs + p) * rows + i) * kLanes, v[p] * splat(down<W>(p)));
    }
  }
}

template <class T, class W>
void prologue(const SkinnyLinearArgs& args, Index first, Index rows, bool writes, const Scratch& s) {
  Index gain_row = -1;
  for (Index i = 0; i < rows; ++i) {
    const Index r = first + i;
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
    for (Index g = 0; W::kQuantized && g < s.groups; ++g) {
      Vec sums{};
      for (Index d = g * args.group; d < least((g + 1) * args.group, args.k); d += kLanes) sums += load(s.row + d);
      s.group_sums[i * s.groups + g] = sum(sums);
    }
    const Index block = i / kBlockRows * kBlockRows;
    lay_out<W>(s.row, args.k, least(kBlockRows, rows - block), s.operands + block * s.width, i - block);
  }
}

}  // namespace
}  // namespace voxtral::cpu
