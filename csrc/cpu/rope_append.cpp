// q and k rotated by the angles of their positions, q, k and v split into heads, k and v behind the tails of a cache.
//
// A task takes some heads of the outputs: queries first, then keys, then values, of one batch after the other.
#include "rotate.h"
#include "rows.h"

namespace voxtral::cpu {
namespace {

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
