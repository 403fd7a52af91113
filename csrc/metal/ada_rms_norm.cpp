// Buffers as in kernels/ada_rms_norm.metal.
#include "ops/ada_rms_norm.h"

#include "metal/encoder.h"
#include "mlx/allocator.h"

namespace voxtral {

void AdaRmsNorm::eval_gpu(const Arrays& inputs, Arrays& outputs) {
  for (auto& out : outputs) out.set_data(mx::allocator::malloc(out.nbytes()));
  const mx::array& x = inputs[0];
  if (x.size() == 0) return;
  std::size_t next = 1;
  // An operand that is absent is not read: x stands in its place.
  const mx::array& weight = options_.weight ? inputs[next++] : x;
  const mx::array& scale = options_.scale ? inputs[next++] : x;
  const int dim = x.shape(-1), rows = int(x.size() / dim);
  const int rows_per_scale = options_.scale && scale.ndim() == 2 ? rows / scale.shape(0) : rows;

  Encoder encoder(stream(), launch_at("ada_rms_norm", options_.launches, 0));
  encoder.input(x);
  encoder.ints({rows, dim});
  encoder.input(weight);
  encoder.input(scale);
  if (options_.residual) encoder.input(inputs[next]);
  encoder.ints({rows_per_scale});
  encoder.number(options_.eps);
  for (auto& out : outputs) encoder.output(out);
  encoder.dispatch();
}

}  // namespace voxtral
