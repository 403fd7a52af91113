// q and k rotated by the angles of their positions, q, k and v split into heads, k and v behind the tails of a cache.
//
// A task takes some heads of the outputs: queries first, then keys, then values, of one batch after the other.
#include "rows.h"

namespace voxtral::cpu {
namespace {

template <int... Lane>
inline Vec firsts(Vec v, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(v, v, (Lane & ~1)...);
}
template <int... Lane>
inline Vec seconds(Vec v, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(v, v, (Lane | 1)...);
}
template <int... Lane>
inline Vec swapped(Vec v, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(v, v, (Lane ^ 1)...);
}
// -1 for the first member of a pair, 1 for the second.
template <int... Lane>
inline Vec signs(std::integer_sequence<int, Lane...>) {
  return Vec{float(Lane % 2 * 2 - 1)...};
}

// y[2i] = x[2i] cos - x[2i + 1] sin, y[2i + 1] = x[2i + 1] cos + x[2i] sin; rotation: cos, sin of each pair.
template <class T>
void rotate(const T* x, const float* rotation, Index dim, T* y) {
  for (Index d = 0; d < dim; d += kLanes) {
    const int part = int(least(kLanes, dim - d));
    const Vec v = load_part(x + d, part), angle = load_part(rotation + d, part);
    const Vec turned = swapped(v, Lanes{}) * (seconds(angle, Lanes{}) * signs(Lanes{}));
    store_part(y + d, v * firsts(angle, Lanes{}) + turned, part);
  }
}

template <class T>
void head(const RopeAppendArgs& args, Index task) {
  const Index all = args.heads + 2 * args.kv_heads, batch = task / all, dim = args.dim;
  Index h = task % all;
  const bool query = h < args.heads, value = h >= args.heads + args.kv_heads;
  h -= query ? 0 : value ? args.heads + args.kv_heads : args.heads;
  const Index tail = query ? 0 : args.tail, at = batch * (query ? args.heads : args.kv_heads) + h;
  const void* given = query ? args.q : value ? args.v : args.k;
  void* out = query ? args.out_q : value ? args.out_v : args.out_k;
  const Index step = query ? args.q_row : value ? args.v_row : args.k_row;

  T* to = static_cast<T*>(out) + at * (tail + args.length) * dim;
  if (tail) {
    const T* from = static_cast<const T*>(value ? args.tail_v : args.tail_k) + at * tail * dim;
    __builtin_memcpy(to, from, std::size_t(tail * dim) * sizeof(T));
    to += tail * dim;
  }
  const T* from = static_cast<const T*>(given) + batch * args.length * step + h * dim;
  for (Index l = 0; l < args.length; ++l, from += step, to += dim) {
    if (value) {
      __builtin_memcpy(to, from, std::size_t(dim) * sizeof(T));
    } else {
      rotate(from, args.rotation + l * dim, dim, to);
    }
  }
}

void task(const RopeAppendArgs& args, Index task, float*) {
  const Index heads = args.batch * (args.heads + 2 * args.kv_heads);
  const Index last = least((task + 1) * args.heads_per_task, heads);
  with_type(args.dtype, [&]<class T>() {
    for (Index h = task * args.heads_per_task; h < last; ++h) head<T>(args, h);
  });
}

Index work(const RopeAppendArgs& args) {
  return args.batch * args.dim * (args.heads * args.length + 2 * args.kv_heads * (args.length + args.tail));
}

Tasks cut(RopeAppendArgs& args, Index threads) {
  const Index heads = args.batch * (args.heads + 2 * args.kv_heads);
  return cut_evenly(heads, threads, 0, args.heads_per_task);
}

}  // namespace

extern const Kernel<RopeAppendArgs> VOXTRAL_KERNEL(rope_append){work, cut, task};

}  // namespace voxtral::cpu
