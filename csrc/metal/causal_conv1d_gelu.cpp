// Buffers as in kernels/causal_conv1d_gelu.metal.
#include "ops/causal_conv1d_gelu.h"

#include "metal/encoder.h"
#include "mlx/allocator.h"

namespace voxtral {

void CausalConv1dGelu::eval_gpu(const Arrays& inputs, Arrays& outputs) {
  mx::array& y = outputs[0];
  y.set_data(mx::allocator::malloc(y.nbytes()));
  if (y.size() == 0) return;
  const mx::array &weight = inputs[1], &bias = options_.bias ? inputs[2] : weight;
  const mx::array* given = options_.context ? &inputs[options_.bias ? 3 : 2] : nullptr;
  const int n_context = given ? given->shape(1) : 0;
  // An operand that is absent or empty is not read: another one stands in its place.
  const mx::array& context = n_context == 0 ? inputs[0] : *given;
  const mx::array& x = inputs[0].size() == 0 ? context : inputs[0];

  Encoder encoder(stream(), launch_at("causal_conv1d_gelu", options_.launches, 0));
  encoder.input(x);
  encoder.shape(x);
  encoder.input(context);
  encoder.input(weight);
  encoder.shape(weight);
  encoder.input(bias);
  encoder.ints({options_.pad_left, n_context, y.shape(1), inputs[0].shape(1)});
  encoder.output(y);
  encoder.dispatch();
}

}  // namespace voxtral
