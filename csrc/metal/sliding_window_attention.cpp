// Buffers as in kernels/sliding_window_attention_{vector,tiled}.metal.
#include "ops/sliding_window_attention.h"

#include "metal/encoder.h"
#include "mlx/allocator.h"

namespace voxtral {
namespace {

constexpr const char* kOp = "sliding_window_attention";
constexpr int kNoWindow = 1 << 30;

}  // namespace

void SlidingWindowAttention::eval_gpu(const Arrays& inputs, Arrays& outputs) {
  mx::array& out = outputs[0];
  allocate_by_query(out);
  const mx::array &q = inputs[0], &tail_k = inputs[1], &tail_v = inputs[2];
  const mx::array& ring = options_.ring ? inputs[3] : tail_k;
  // What the kernels index as ring_shape[3] is a ring's capacity; without a ring it is not used.
  const bool split = options_.launches.size() == 2;
  Arrays parts;
  if (split) {
    for (const auto& shape : options_.launches[0].temporaries) {
      mx::array part(shape, mx::float32, nullptr, {});
      part.set_data(mx::allocator::malloc(part.nbytes()));
      mx::metal::get_command_encoder(stream()).add_temporary(part);
      parts.push_back(part);
    }
    require(parts.size() == 2, kOp, "launches: expected two temporaries.");
  }

  Encoder attend(stream(), launch_at(kOp, options_.launches, 0));
  attend.input(q);
  attend.shape(q);
  attend.strides(q);
  attend.input(ring);
  attend.shape(ring);
  attend.input(tail_k);
  attend.shape(tail_k);
  attend.input(tail_v);
  attend.ints({int(options_.ring_end), int(std::min<int64_t>(options_.window, kNoWindow))});
  attend.number(options_.scale);
  if (!split) {
    attend.output(out);
    return attend.dispatch();
  }
  for (auto& part : parts) attend.output(part);
  attend.dispatch();

  Encoder merge(stream(), options_.launches[1]);
  merge.input(parts[0]);
  merge.shape(parts[0]);
  merge.input(parts[1]);
  merge.output(out);
  merge.dispatch();
}

}  // namespace voxtral
