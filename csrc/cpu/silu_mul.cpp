// y = g / (1 + exp(-g)) * u, g and u the halves of a row.
#include "rows.h"

namespace voxtral::cpu {
namespace {

template <class T>
void rows(const SiluMulArgs& args, Index first, Index last) {
  for (Index r = first; r < last; ++r) {
    const T* gate = static_cast<const T*>(args.x) + r * 2 * args.dim;
    const T* up = gate + args.dim;
    T* y = static_cast<T*>(args.y) + r * args.dim;
    for (Index d = 0; d < args.dim; d += kLanes) {
      const int part = int(least(kLanes, args.dim - d));
      store_part(y + d, silu(load_part(gate + d, part)) * load_part(up + d, part), part);
    }
  }
}

void task(const SiluMulArgs& args, Index task, float*) {
  with_rows(args, task, [&]<class T>(Index first, Index last) { rows<T>(args, first, last); });
}

Index work(const SiluMulArgs& args) { return args.rows * args.dim; }

Tasks cut(SiluMulArgs& args, Index threads) { return cut_rows(args, threads); }

}  // namespace

extern const Kernel<SiluMulArgs> VOXTRAL_KERNEL(silu_mul){work, cut, task};

}  // namespace voxtral::cpu
