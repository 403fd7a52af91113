// y = g / (1 + exp(-g)) * u, g and u in turn in a row.
#include "rows.h"

namespace voxtral::cpu {
namespace {

template <class T>
void rows(const SiluMulArgs& args, Index first, Index last) {
  for (Index r = first; r < last; ++r) {
    const T* x = static_cast<const T*>(args.x) + r * 2 * args.dim;
    T* y = static_cast<T*>(args.y) + r * args.dim;
    for (Index d = 0; d < args.dim; d += kLanes) {
      const int part = int(least(kLanes, args.dim - d)), second = int(most(0, 2 * part - kLanes));
      const Vec a = load_part(x + 2 * d, 2 * part - second), b = load_part(x + 2 * d + kLanes, second);
      store_part(y + d, silu(even_blocks<1>(a, b, Lanes{})) * odd_blocks<1>(a, b, Lanes{}), part);
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
