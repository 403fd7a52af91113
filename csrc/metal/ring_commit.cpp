// Buffers as in kernels/sliding_window_attention_commit.metal.
#include "metal/encoder.h"
#include "ops/sliding_window_attention.h"

namespace voxtral {

void RingCommit::eval_gpu(const Arrays& inputs, Arrays& outputs) {
  const mx::array &before = inputs[0], &k = inputs[1], &v = inputs[2], &after = inputs[3];
  require(before.flags().row_contiguous && before.data_size() == before.size(), "sliding_window_attention",
          "ring: expected memory of its own.");
  mx::array& ring = outputs[0];
  ring.copy_shared_buffer(before);
  const int skipped = std::max(0, k.shape(2) - ring.shape(3));

  Encoder encoder(stream(), launch_at("sliding_window_attention", launches_, 0));
  encoder.output(ring);
  encoder.shape(ring);
  encoder.input(k);
  encoder.shape(k);
  encoder.input(v);
  encoder.ints({int(start_ % ring.shape(3)), skipped});
  // Not read: bound so that the encoder waits for what reads the ring as it was.
  encoder.input(after);
  encoder.dispatch();
}

}  // namespace voxtral
