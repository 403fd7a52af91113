// The in-place write of a cache's ring.
#include <atomic>
#include <cstring>

#include "cpu/launch.h"
#include "metal/encoder.h"
#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "ops/binding.h"
#include "ops/primitive.h"

namespace voxtral {
namespace {

constexpr const char* kOp = "sliding_window_attention";
// Bytes that all commits have written so far, and bytes of rings that could not be written in place.
std::atomic<uint64_t> row_bytes{0}, ring_bytes{0};

class RingCommit : public mx::Primitive {
 public:
  RingCommit(mx::Stream stream, int64_t start, bool streams, const MetalLaunches& launches)
      : mx::Primitive(stream), start_(start), streams_(streams), launches_(launches) {}

  void eval_cpu(const Arrays& inputs, Arrays& outputs) override;
  void eval_gpu(const Arrays& inputs, Arrays& outputs) override;
  const char* name() const override { return "VoxtralRingCommit"; }
  std::vector<mx::Shape> output_shapes(const Arrays& inputs) override { return {inputs[0].shape()}; }

 private:
  int64_t start_;
  bool streams_;  // a fifth input: who is where
  MetalLaunches launches_;
};

}  // namespace

// The ring with positions [start, start + T) written: k, v: [B, Hkv, T, D]. It takes over the ring's memory, so the
// caller must let nothing read the ring given after `after` is computed, which this waits for.
// streams: of a ring whose slots are those of streams, as `sliding_window_attention` has it; k, v are then [T, Hkv, 1, D].
mx::array ring_commit(const mx::array& ring, int64_t start, const mx::array& k, const mx::array& v,
                      const mx::array& after, const std::optional<mx::array>& streams, mx::StreamOrDevice device,
                      const LaunchList* launches) {
  require(ring.ndim() == 5 && ring.shape(0) == 2 && ring.shape(3) >= 1 && start >= 0, kOp,
          "ring: expected [2, B, Hkv, C, D].");
  require(k.ndim() == 4 && k.shape() == v.shape() && k.shape(1) == ring.shape(2) && has_rows_of(ring, k) &&
              v.dtype() == k.dtype(),
          kOp, "k, v: expected [B, Hkv, T, D] of the ring.");
  require(streams ? k.shape(2) == 1 : k.shape(0) == ring.shape(1), kOp, "k, v: expected the ring's B.");
  if (streams) require_streams(kOp, *streams);
  const mx::Stream stream = mx::to_stream(device);
  Arrays inputs = contiguous_on_gpu({k, v}, stream);
  inputs.insert(inputs.begin(), ring);
  inputs.push_back(after);
  if (streams) inputs.push_back(*streams);
  auto primitive = std::make_shared<RingCommit>(stream, start, streams.has_value(), launches_of(launches));
  return mx::array(ring.shape(), ring.dtype(), std::move(primitive), std::move(inputs));
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
  cpu::RingCommitArgs args{};
  args.ring = ring.data<void>();
  args.k = k.data<void>();
  args.v = v.data<void>();
  args.ring_heads = cpu::Index(ring.shape(1)) * k.shape(1);
  args.kv_heads = k.shape(1);
  args.capacity = ring.shape(3);
  args.dim = k.shape(3);
  args.k_head = k.strides(1), args.v_head = v.strides(1);
  if (streams_) {
    const mx::array streams = readable(inputs[4], stream(), true);
    args.streams = streams.data<std::int32_t>();
    args.heads = cpu::Index(streams.shape(0)) * k.shape(1);
    args.count = k.shape(0);
    args.k_row = k.strides(0), args.v_row = v.strides(0);
  } else {
    args.heads = args.ring_heads;
    args.start = start_;
    args.count = k.shape(2);
    args.k_batch = k.strides(0), args.k_row = k.strides(2);
    args.v_batch = v.strides(0), args.v_row = v.strides(2);
  }
  args.dtype = kernel_dtype(kOp, k);
  if (ring.dtype() == mx::int8) {
    args.scales = reinterpret_cast<float*>(ring.data<char>() + ring_rows(ring) * std::size_t(args.dim));
  }
  // Of streams: count is that of all, and no stream brings more than its slot holds where this is counted.
  const cpu::Index rows = streams_ ? args.kv_heads * args.count : args.heads * std::min(args.count, args.capacity);
  row_bytes += uint64_t(2 * rows) * ring.shape(4) * ring.itemsize();
  encoder.dispatch([args] { cpu::launch(args); });
}

void RingCommit::eval_gpu(const Arrays& inputs, Arrays& outputs) {
  const mx::array &before = inputs[0], &k = inputs[1], &v = inputs[2], &after = inputs[3];
  require(before.flags().row_contiguous && before.data_size() == before.size(), kOp,
          "ring: expected memory of its own.");
  mx::array& ring = outputs[0];
  ring.copy_shared_buffer(before);
  const int skipped = streams_ ? 0 : std::max(0, k.shape(2) - ring.shape(3));  // of streams: each its own

  Encoder encoder(stream(), launch_at(kOp, launches_, 0));
  encoder.output(ring);
  encoder.shape(ring);
  encoder.input(k);
  encoder.shape(k);
  encoder.input(v);
  encoder.ints({int(start_ % ring.shape(3)), skipped});
  streams_ ? encoder.input(inputs[4]) : encoder.ints({0, 0, 0, 0});
  // Not read: bound so that the encoder waits for what reads the ring as it was.
  encoder.input(after);
  encoder.dispatch();
}

const Binding binding([](nanobind::module_& m) {
  using namespace nanobind::literals;
  bind_op(m, "ring_commit", &ring_commit, "ring"_a, "start"_a, "k"_a, "v"_a, "after"_a,
          "streams"_a.none() = nanobind::none());
  m.def("commit_bytes", [] { return nanobind::make_tuple(row_bytes.load(), ring_bytes.load()); });
});

}  // namespace voxtral
