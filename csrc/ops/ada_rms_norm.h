// y = h * rsqrt(mean(h^2) + eps) * weight * (1 + scale), h = x + residual.
#pragma once

#include <optional>

#include "metal/launch.h"
#include "ops/primitive.h"

namespace voxtral {

// x, residual: [..., D]; weight: [D]; scale: [D] or [x.shape[0], D], dtype of x or float32. One output, or with a
// residual two: y and h, both of x's shape and dtype.
Arrays ada_rms_norm(const mx::array& x, const std::optional<mx::array>& weight, const std::optional<mx::array>& scale,
                    float eps, const std::optional<mx::array>& residual, mx::StreamOrDevice stream,
                    const MetalLaunches& launches = {});

class AdaRmsNorm : public Differentiable {
 public:
  struct Options {
    float eps;
    bool weight, scale, residual;  // which of the optional inputs follow x, in this order
    MetalLaunches launches;
    bool operator==(const Options&) const = default;
  };

  AdaRmsNorm(mx::Stream stream, const Options& options);

  void eval_cpu(const Arrays& inputs, Arrays& outputs) override;
  void eval_gpu(const Arrays& inputs, Arrays& outputs) override;
  const char* name() const override { return "VoxtralAdaRmsNorm"; }
  bool is_equivalent(const mx::Primitive& other) const override;
  std::vector<mx::Shape> output_shapes(const Arrays& inputs) override;

 private:
  Options options_;
};

}  // namespace voxtral
