// y = h * rsqrt(mean(h^2) + eps) * weight * (1 + scale), h = x + residual rounded to the storage type.
#include "gain.h"
#include "rows.h"

namespace voxtral::cpu {
namespace {

// Writes h and leaves its square sum; the padded part of a row adds zero.
template <class T>
float sum_of_squares(const T* x, const T* residual, T* h, Index dim) {
  Vec sums[4] = {};
  Index d = 0;
  for (; d + 4 * kLanes <= dim; d += 4 * kLanes) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const Index at = d + i * kLanes;
      const Vec v = residual ? add_rounded(load(x + at), load(residual + at), h + at) : load(x + at);
      sums[i] = v * v + sums[i];
    }
  }
  for (; d < dim; d += kLanes) {
    const int part = int(least(kLanes, dim - d));
    Vec v = load_part(x + d, part);
    if (residual) {
      T rounded[kLanes];
      v = add_rounded(v, load_part(residual + d, part), rounded);
      store_part(h + d, v, part);
    }
    sums[0] = v * v + sums[0];
  }
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

template <class T>
void rows(const AdaRmsNormArgs& args, Index first, Index last, float* gain) {
  Index gain_row = -1;
  for (Index r = first; r < last; ++r) {
    if (gain_row != r / args.rows_per_scale) {
      gain_row = r / args.rows_per_scale;
      const char* scale = static_cast<const char*>(args.scale);
      if (scale) scale += gain_row * args.dim * item_size(args.scale_dtype);
      fill_gain(args.dtype, args.weight, args.scale_dtype, scale, args.dim, gain);
    }
    const T* x = static_cast<const T*>(args.x) + r * args.dim;
    T* y = static_cast<T*>(args.y) + r * args.dim;
    T* h = args.h ? static_cast<T*>(args.h) + r * args.dim : nullptr;
    const T* residual = args.residual ? static_cast<const T*>(args.residual) + r * args.dim : nullptr;
    const float squares = sum_of_squares(x, residual, h, args.dim);
    const float inverse = 1.0f / __builtin_sqrtf(squares / float(args.dim) + args.eps);
    const T* source = h ? h : x;
    for (Index d = 0; d < args.dim; d += kLanes) {
      const int part = int(least(kLanes, args.dim - d));
      store_part(y + d, load_part(source + d, part) * inverse * load_part(gain + d, part), part);
    }
  }
}

void task(const AdaRmsNormArgs& args, Index task, float* scratch) {
  with_rows(args, task, [&]<class T>(Index first, Index last) { rows<T>(args, first, last, scratch); });
}

Index work(const AdaRmsNormArgs& args) { return args.rows * args.dim; }

Tasks cut(AdaRmsNormArgs& args, Index threads) { return cut_rows(args, threads, args.dim); }

}  // namespace

extern const Kernel<AdaRmsNormArgs> VOXTRAL_KERNEL(ada_rms_norm){work, cut, task};

}  // namespace voxtral::cpu
