// y = x * scale + shift.
#include "kernels.h"
#include "tile.h"

namespace voxtral::cpu {
namespace {

template <class T>
void rows(const ScaleShiftArgs& args, Index first, Index last) {
  const T *scale = static_cast<const T*>(args.scale), *shift = static_cast<const T*>(args.shift);
  for (Index r = first; r < last; ++r) {
    const T* x = static_cast<const T*>(args.x) + r * args.dim;
    T* y = static_cast<T*>(args.y) + r * args.dim;
    for (Index d = 0; d < args.dim; d += kLanes) {
      const int part = int(least(kLanes, args.dim - d));
      store_part(y + d, load_part(x + d, part) * load_part(scale + d, part) + load_part(shift + d, part), part);
    }
  }
}

void task(const ScaleShiftArgs& args, Index task, float*) {
  const Index first = task * args.rows_per_task, last = least(first + args.rows_per_task, args.rows);
  switch (args.dtype) {
    case Dtype::float32:
      return rows<float>(args, first, last);
    case Dtype::float16:
      return rows<Half>(args, first, last);
    case Dtype::bfloat16:
      return rows<Bfloat>(args, first, last);
  }
}

Index work(const ScaleShiftArgs& args) { return args.rows * args.dim; }

Tasks cut(ScaleShiftArgs& args, Index threads) {
  args.rows_per_task = divide_up(args.rows, threads);
  return {divide_up(args.rows, args.rows_per_task), 0};
}

}  // namespace

extern const Kernel<ScaleShiftArgs> VOXTRAL_KERNEL(scale_shift){work, cut, task};

}  // namespace voxtral::cpu
