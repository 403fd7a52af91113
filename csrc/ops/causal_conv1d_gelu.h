// y[t] = gelu(bias + sum_k weight[:, k] @ frame[t * stride + k]), frames = zeros, context, x, zeros.
#pragma once

#include <optional>

#include "metal/launch.h"
#include "ops/primitive.h"

namespace voxtral {

// x: [B, T, C_in]; weight: [C_out, K, C_in]; bias: [C_out]; context: [B, S, C_in] frames before x. One dtype.
// Returns [B, T_out, C_out], T_out = (pad_left + S + T + pad_right - K) / stride + 1, or 0 where that is negative.
mx::array causal_conv1d_gelu(const mx::array& x, const mx::array& weight, const std::optional<mx::array>& bias,
                             const std::optional<mx::array>& context, int stride, int pad_left, int pad_right,
                             bool gelu, mx::StreamOrDevice stream, const MetalLaunches& launches = {});

// x @ weight^T + bias, as a convolution of one tap: x: [..., C_in]; weight: [C_out, C_in]; bias: [C_out]. One dtype.
mx::array linear(const mx::array& x, const mx::array& weight, const std::optional<mx::array>& bias,
                 mx::StreamOrDevice stream);

class CausalConv1dGelu : public Differentiable {
 public:
  struct Options {
    int stride, pad_left, pad_right;
    bool gelu, bias, context;  // bias and context follow x and weight, where present
    MetalLaunches launches;
    bool linear = false;  // x: [..., C_in], weight: [C_out, C_in]; on a CPU only
    bool operator==(const Options&) const = default;
  };

  CausalConv1dGelu(mx::Stream stream, const Options& options);

  void eval_cpu(const Arrays& inputs, Arrays& outputs) override;
  void eval_gpu(const Arrays& inputs, Arrays& outputs) override;
  const char* name() const override { return "VoxtralCausalConv1dGelu"; }
  bool is_equivalent(const mx::Primitive& other) const override;
  std::vector<mx::Shape> output_shapes(const Arrays& inputs) override;

 private:
  Options options_;
};

}  // namespace voxtral
