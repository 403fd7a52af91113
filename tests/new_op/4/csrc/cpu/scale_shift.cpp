// y = x * scale + shift.
#include "rows.h"

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
  with_rows(args, task, [&]<class T>(Index first, Index last) { rows<T>(args, first, last); });
}

Index work(const ScaleShiftArgs& args) { return args.rows * args.dim; }

Tasks cut(ScaleShiftArgs& args, Index threads) { return cut_rows(args, threads); }

}  // namespace

extern const Kernel<ScaleShiftArgs> VOXTRAL_KERNEL(scale_shift){work, cut, task};

}  // namespace voxtral::cpu
