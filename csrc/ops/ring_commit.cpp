// The in-place write of the ring; see sliding_window_attention.h.
#include <atomic>
#include <cstring>

#include "cpu/launch.h"
#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "ops/sliding_window_attention.h"

namespace voxtral {
namespace {

constexpr const char* kOp = "sliding_window_attention";
std::atomic<uint64_t> row_bytes{0}, ring_bytes{0};

}  // namespace

CommitBytes commit_bytes() { return {row_bytes, ring_bytes}; }

mx::array ring_commit(const mx::array& ring, int64_t start, const mx::array& k, const mx::array& v,
                      const mx::array& after, mx::StreamOrDevice device, const MetalLaunches& launches) {
  require(ring.ndim() == 5 && ring.shape(0) == 2 && ring.shape(3) >= 1 && start >= 0, kOp,
          "ring: expected [2, B, Hkv, C, D].");
  require(k.ndim() == 4 && k.shape() == v.shape() && k.shape(0) == ring.shape(1) && k.shape(1) == ring.shape(2) &&
              k.shape(3) == ring.shape(4) && k.dtype() == ring.dtype() && v.dtype() == ring.dtype(),
          kOp, "k, v: expected [B, Hkv, T, D] of the ring.");
  const mx::Stream stream = mx::to_stream(device);
  Arrays inputs = contiguous_on_gpu({k, v}, stream);
  inputs.insert(inputs.begin(), ring);
  inputs.push_back(after);
  return mx::array(ring.shape(), ring.dtype(), std::make_shared<RingCommit>(stream, start, launches),
                   std::move(inputs));
}

void RingCommit::eval_cpu(const Arrays& inputs, Arrays& outputs) {
  const mx::array &before = inputs[0], k = readable(inputs[1], stream(), false),
                  v = readable(inputs[2], stream(), false);
  mx::array& ring = outputs[0];
  auto& encoder = mx::cpu::get_command_encoder(stream());
  // By force: under async_eval an earlier step still holds the array, though nothing will read it after `after`. A
  // broadcast (mx.zeros) has no memory of its own for every element, so it is copied out once.
  if (before.flags().row_contiguous && before.data_size() == before.size()) {
    ring.copy_shared_buffer(before);
  } else {
    const mx::array whole = readable(before, stream(), true);
    ring.set_data(mx::allocator::malloc(ring.nbytes()));
    ring_bytes += ring.nbytes();
    encoder.dispatch(
        [from = whole.data<char>(), to = ring.data<char>(), n = ring.nbytes()] { std::memcpy(to, from, n); });
  }
  const auto item = cpu::Index(k.itemsize());
  cpu::RingCommitArgs args{};
  args.ring = ring.data<char>();
  args.k = k.data<char>();
  args.v = v.data<char>();
  args.heads = cpu::Index(k.shape(0)) * k.shape(1);
  args.kv_heads = k.shape(1);
  args.capacity = ring.shape(3);
  args.row_bytes = item * k.shape(3);
  args.start = start_;
  args.count = k.shape(2);
  args.k_batch = k.strides(0) * item, args.k_head = k.strides(1) * item, args.k_row = k.strides(2) * item;
  args.v_batch = v.strides(0) * item, args.v_head = v.strides(1) * item, args.v_row = v.strides(2) * item;
  row_bytes += uint64_t(2 * args.heads * std::min(args.count, args.capacity) * args.row_bytes);
  encoder.dispatch([args] { cpu::launch(args); });
}

}  // namespace voxtral
