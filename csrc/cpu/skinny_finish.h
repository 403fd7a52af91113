// What becomes of the sums: bias, then residual, gated product, or rotation and heads.
#pragma once

#include "rotate.h"
#include "skinny_rows.h"

namespace voxtral::cpu {
namespace {

// Values of columns [column, column + n) of row r, which lie in one head each part of the way.
template <class T>
void store_heads(const SkinnyLinearArgs& args, Index r, Index column, Index n, const float* values) {
  const Index b = r / args.length, l = r % args.length, total = args.tail + args.length;
  const float* turns = args.rotation + r % args.turns * args.dim;
  for (Index head = column / args.dim, d = column % args.dim; n > 0; ++head, d = 0) {
    const Index some = least(n, args.dim - d), kv = head - args.heads, value = kv - args.kv_heads;
    if (value >= 0) {
      T* to = static_cast<T*>(args.out_v) + ((b * args.kv_heads + value) * total + args.tail + l) * args.dim + d;
      for (Index i = 0; i < some; i += kLanes) {
        const int part = int(least(kLanes, some - i));
        store_part(to + i, load_part(values + i, part), part);
      }
    } else {
      T* to = kv < 0 ? static_cast<T*>(args.y) + ((b * args.heads + head) * args.length + l) * args.dim
                     : static_cast<T*>(args.out_k) + ((b * args.kv_heads + kv) * total + args.tail + l) * args.dim;
      rotate(values, turns + d, some, to + d);
    }
    values += some, n -= some;
  }
}

// The tails in front of the keys and values whose first column is one of these.
inline void copy_tails(const SkinnyLinearArgs& args, Index first, Index last) {
  const Index head_bytes = args.tail * args.dim * item_size(args.dtype);
  const Index step = (args.tail + args.length) * args.dim * item_size(args.dtype);
  for (Index head = divide_up(first, args.dim); head * args.dim < last; ++head) {
    Index kv = head - args.heads;
    if (kv < 0 || args.tail == 0) continue;
    const bool value = kv >= args.kv_heads;
    kv -= value ? args.kv_heads : 0;
    for (Index b = 0; b < args.rows / args.length; ++b) {
      const Index at = b * args.kv_heads + kv;
      const char* from = static_cast<const char*>(value ? args.tail_v : args.tail_k) + at * head_bytes;
      __builtin_memcpy(static_cast<char*>(value ? args.out_v : args.out_k) + at * step, from, std::size_t(head_bytes));
    }
  }
}

template <class T>
void finish(const SkinnyLinearArgs& args, Index r, Index column, Index n, float* values) {
  const T* bias = args.bias ? static_cast<const T*>(args.bias) + column : nullptr;
  const T* add = args.add ? static_cast<const T*>(args.add) + r * args.n + column : nullptr;
  T* y = static_cast<T*>(args.y) + r * args.n + column;
  for (Index j = 0; j < n; j += kLanes) {
    const int part = int(least(kLanes, n - j));
    Vec v = load(values + j);
    if (bias) v = v + load_part(bias + j, part);
    if (args.gated || args.rotation) {
      store(values + j, v);
    } else {
      store_part(y + j, add ? v + load_part(add + j, part) : v, part);
    }
  }
  if (args.rotation) return store_heads<T>(args, r, column, n, values);
  if (!args.gated) return;
  float pairs[2][kGroup] = {};
  for (Index j = 0; j < n; ++j) pairs[j % 2][j / 2] = values[j];
  T* gated = static_cast<T*>(args.y) + (r * args.n + column) / 2;
  for (Index j = 0; j < n / 2; j += kLanes) {
    store_part(gated + j, silu(load(pairs[0] + j)) * load(pairs[1] + j), int(least(kLanes, n / 2 - j)));
  }
}

template <class T>
void epilogue(const SkinnyLinearArgs& args, Index first, Index rows, Index column, Index n, const Scratch& s) {
  const auto* sums = reinterpret_cast<const Vec*>(s.sums);
  for (Index r = 0; r < rows; ++r) {
    for (Index j = 0; j < kGroup; j += kLanes) {
      Vec each[kLanes];
      for (Index i = 0; i < kLanes; ++i) each[i] = sums[(j + i) * s.rows + r];
      store(s.values + j, sum_each<kLanes>(each));
    }
    finish<T>(args, first + r, column, n, s.values);
  }
}

}  // namespace
}  // namespace voxtral::cpu
