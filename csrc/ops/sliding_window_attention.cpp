// Attention over [position - window + 1, position], straight out of a ring and a tail.
#include <algorithm>
#include <limits>
#include <optional>

#include "metal/encoder.h"
#include "ops/binding.h"
#include "ops/primitive.h"

#include "cpu/launch.h"
#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/fast.h"
#include "mlx/ops.h"

namespace voxtral {
namespace {

constexpr const char* kOp = "sliding_window_attention";

mx::Shape output_shape(const mx::array& q, bool as_rows) {
  if (!as_rows) return q.shape();
  return {q.shape(0) * q.shape(2), q.shape(1) * q.shape(3)};
}

struct Options {
  int64_t ring_end, window;
  float scale;
  bool as_rows;  // the output is [B * L, Hq * D], not [B, Hq, L, D]
  bool ring;     // inputs: q, tail_k, tail_v and, where present, the ring
  bool streams;  // the last input: who is where
  MetalLaunches launches;
  bool operator==(const Options&) const = default;
};

class SlidingWindowAttention : public Op<Options> {
 public:
  using Op::Op;

  void eval_cpu(const Arrays& inputs, Arrays& outputs) override;
  void eval_gpu(const Arrays& inputs, Arrays& outputs) override;
  const char* name() const override { return "VoxtralSlidingWindowAttention"; }
  std::vector<mx::Shape> output_shapes(const Arrays& inputs) override {
    return {output_shape(inputs[0], options_.as_rows)};
  }
};

constexpr int64_t kUnbounded = int64_t(1) << 40;
constexpr int kNoWindow = 1 << 30;  // as the kernels have it

// What a ring of 8 bits stands for, [2, B, Hkv, C, D] in float32.
mx::array dequantised(const mx::array& ring, mx::Stream s) {
  const int scale = int(sizeof(float)), dim = ring.shape(4) - scale;
  mx::Shape shape = ring.shape();
  shape[4] = dim;
  // Bytes have no derivative, and a view of them none to ask for.
  const auto parts =
      mx::split(mx::flatten(mx::stop_gradient(ring, s), s), mx::Shape{int(ring.size() / ring.shape(4) * dim)}, 0, s);
  const mx::array values = mx::astype(mx::reshape(parts[0], shape, s), mx::float32, s);
  shape[4] = 1;
  return mx::multiply(values, mx::reshape(mx::view(mx::contiguous(parts[1], false, s), mx::float32, s), shape, s), s);
}

Arrays composed(const Arrays& inputs, const Options& options, mx::Stream s) {
  require(!options.streams, kOp, "streams: a step of several streams has no derivative.");
  const mx::array& q = inputs[0];
  mx::array k = inputs[1], v = inputs[2];
  const int64_t end = options.ring_end + k.shape(2);
  int64_t first = options.ring_end;
  if (options.ring) {
    const bool eight_bits = inputs[3].dtype() == mx::int8;
    const mx::array ring = eight_bits ? mx::astype(dequantised(inputs[3], s), q.dtype(), s) : inputs[3];
    const int capacity = ring.shape(3);
    first = std::max<int64_t>(0, options.ring_end - capacity);
    std::vector<int> slots;
    for (int64_t position = first; position < options.ring_end; ++position) slots.push_back(int(position % capacity));
    const mx::array held = mx::take(ring, mx::array(slots.data(), {int(slots.size())}), 3, s);
    const auto half = [&](int i) { return mx::take(held, mx::array(i), 0, s); };
    k = mx::concatenate({half(0), k}, 2, s);
    v = mx::concatenate({half(1), v}, 2, s);
  }
  // Relative to the first key, so that float32 positions stay exact.
  const mx::array query = mx::reshape(mx::arange(double(end - first - q.shape(2)), double(end - first), s), {-1, 1}, s);
  const mx::array key = mx::arange(0.0, double(end - first), s);
  const mx::array oldest = mx::subtract(query, mx::array(float(options.window)), s);
  const mx::array visible = mx::logical_and(mx::less_equal(key, query, s), mx::greater(key, oldest, s), s);
  const mx::array y = mx::fast::scaled_dot_product_attention(q, k, v, options.scale, "array", visible, {}, false, s);
  return {options.as_rows ? mx::reshape(mx::transpose(y, {0, 2, 1, 3}, s), output_shape(q, true), s) : y};
}

}  // namespace

// Memory in the order [B, L, H, D] behind the shape [B, H, L, D]: the transpose that follows in a model costs nothing.
void allocate_by_query(mx::array& out, bool as_rows) {
  if (as_rows) return out.set_data(mx::allocator::malloc(out.nbytes()));
  const int64_t heads = out.shape(1), queries = out.shape(2), dim = out.shape(3);
  if (heads == 1 || queries == 1) return out.set_data(mx::allocator::malloc(out.nbytes()));
  mx::array::Flags flags{};
  flags.contiguous = true;
  out.set_data(mx::allocator::malloc(out.nbytes()), out.size(), {queries * heads * dim, dim, heads * dim, 1}, flags);
}

// q: [B, Hq, L, D]; ring: [2, B, Hkv, C, D], keys then values, slot = position % C, holding the positions
// [max(0, ring_end - C), ring_end); tail_k, tail_v: [B, Hkv, T, D], positions [ring_end, ring_end + T), T >= L; the
// queries are the last L positions. window: visible keys including the query's own, or none for all. One dtype.
// as_rows: the result is [B * L, Hq * D], a row a position.
// streams: each of the batch is a stream of its own, see `require_streams`; the ring's B is then the number of its slots,
// tail_k, tail_v: [T, Hkv, 1, D], the tails of all streams one behind the other, and ring_end is not used.
mx::array sliding_window_attention(const mx::array& q, const std::optional<mx::array>& ring, int64_t ring_end,
                                   const mx::array& tail_k, const mx::array& tail_v, std::optional<int64_t> window,
                                   float scale, bool as_rows, const std::optional<mx::array>& streams,
                                   mx::StreamOrDevice device, const LaunchList* launches) {
  kernel_dtype(kOp, q);
  require(q.ndim() == 4 && tail_k.ndim() == 4 && tail_k.shape() == tail_v.shape(), kOp,
          "q, k, v: expected [B, Hq, L, D] and [B, Hkv, T, D].");
  const bool apart = streams.has_value();
  require(q.shape(3) == tail_k.shape(3) && (apart ? tail_k.shape(2) == 1 && tail_k.shape(0) >= q.shape(0) * q.shape(2)
                                                  : q.shape(0) == tail_k.shape(0) && tail_k.shape(2) >= q.shape(2)),
          kOp, "k: expected q's B and D, and at least as many positions.");
  if (apart) {
    require_streams(kOp, *streams);
    require(streams->shape(0) == q.shape(0), kOp, "streams: expected one for each of q's B.");
  }
  require(tail_k.shape(1) >= 1 && q.shape(1) % tail_k.shape(1) == 0, kOp, "k: expected Hkv that divides Hq.");
  require(tail_k.dtype() == q.dtype() && tail_v.dtype() == q.dtype(), kOp, "k, v: expected q's dtype.");
  require(ring_end >= 0 && (ring || ring_end == 0) && (!window || *window >= 1), kOp, "ring, window: out of range.");
  const mx::Stream stream = mx::to_stream(device);
  Arrays inputs = contiguous_on_gpu({tail_k, tail_v}, stream);
  inputs.insert(inputs.begin(), q);
  if (ring) {
    require(ring->ndim() == 5 && ring->shape(0) == 2 && (apart || ring->shape(1) == q.shape(0)) &&
                ring->shape(2) == tail_k.shape(1) && ring->shape(3) >= 1 && has_rows_of(*ring, q),
            kOp, "ring: expected [2, B, Hkv, C, D] of q's dtype, or int8 [2, B, Hkv, C, D + 4].");
    inputs.push_back(*ring);
  }
  if (apart) inputs.push_back(*streams);
  const Options options{ring_end,
                        std::min(window.value_or(kUnbounded), kUnbounded),
                        scale,
                        as_rows,
                        ring.has_value(),
                        apart,
                        launches_of(launches)};
  auto primitive = std::make_shared<SlidingWindowAttention>(stream, options, composed);
  return mx::array(output_shape(q, as_rows), q.dtype(), std::move(primitive), std::move(inputs));
}

void SlidingWindowAttention::eval_cpu(const Arrays& inputs, Arrays& outputs) {
  mx::array& out = outputs[0];
  allocate_by_query(out, options_.as_rows);
  const mx::array q = readable(inputs[0], stream(), false);
  const mx::array k = readable(inputs[1], stream(), false), v = readable(inputs[2], stream(), false);
  cpu::SlidingWindowAttentionArgs args{};
  args.q = q.data<void>();
  args.tail_k = k.data<void>();
  args.tail_v = v.data<void>();
  args.out = out.data<void>();
  args.q_batch = q.strides(0), args.q_head = q.strides(1), args.q_row = q.strides(2);
  const int row = options_.streams ? 0 : 2;  // the axis of the tail's positions
  args.tail_k_batch = k.strides(0), args.tail_k_head = k.strides(1), args.tail_k_row = k.strides(row);
  args.tail_v_batch = v.strides(0), args.tail_v_head = v.strides(1), args.tail_v_row = v.strides(row);
  if (options_.as_rows) {
    args.out_head = q.shape(3), args.out_row = out.shape(1), args.out_batch = args.out_row * q.shape(2);
  } else {
    args.out_batch = out.strides(0), args.out_head = out.strides(1), args.out_row = out.strides(2);
  }
  args.batch = q.shape(0), args.heads = q.shape(1), args.kv_heads = k.shape(1), args.queries = q.shape(2);
  args.dim = q.shape(3), args.tail = k.shape(row);
  if (options_.streams) args.streams = readable(inputs.back(), stream(), true).data<std::int32_t>();
  args.ring_end = options_.ring_end;
  args.window = options_.window;
  args.scale = options_.scale;
  args.dtype = kernel_dtype(kOp, q);
  if (options_.ring) {
    const mx::array ring = readable(inputs[3], stream(), true);
    args.ring_k = ring.data<void>();
    args.capacity = ring.shape(3);
    const auto half = ring_rows(ring) / 2;
    args.ring_v = ring.data<char>() + half * q.shape(3) * ring.itemsize();
    if (ring.dtype() == mx::int8) {
      args.ring_k_scales = reinterpret_cast<const float*>(ring.data<char>() + 2 * half * q.shape(3));
      args.ring_v_scales = args.ring_k_scales + half;
    }
  }
  mx::cpu::get_command_encoder(stream()).dispatch([args] { cpu::launch(args); });
}

void SlidingWindowAttention::eval_gpu(const Arrays& inputs, Arrays& outputs) {
  mx::array& out = outputs[0];
  allocate_by_query(out, options_.as_rows);
  const mx::array &q = inputs[0], &tail_k = inputs[1], &tail_v = inputs[2];
  const mx::array& ring = options_.ring ? inputs[3] : tail_k;
  // What the kernels index as ring_shape[3] is a ring's capacity; without a ring it is not used.
  const bool split = options_.launches && options_.launches->size() == 2;
  Arrays parts;
  if (split) {
    for (const auto& shape : launch_at(kOp, options_.launches, 0).temporaries)
      parts.push_back(Encoder::temporary(stream(), shape));
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
  options_.streams ? attend.input(inputs.back()) : attend.ints({0, 0, 0, 0});
  attend.number(options_.scale);
  if (!split) {
    attend.output(out);
    return attend.dispatch();
  }
  for (auto& part : parts) attend.output(part);
  attend.dispatch();

  Encoder merge(stream(), launch_at(kOp, options_.launches, 1));
  merge.input(parts[0]);
  merge.shape(parts[0]);
  merge.input(parts[1]);
  merge.output(out);
  merge.dispatch();
}

const Binding binding([](nanobind::module_& m) {
  using namespace nanobind::literals;
  bind_op(m, kOp, &sliding_window_attention, "q"_a, "ring"_a.none(), "ring_end"_a, "tail_k"_a, "tail_v"_a,
          "window"_a.none(), "scale"_a, "as_rows"_a, "streams"_a.none() = nanobind::none());
});

}  // namespace voxtral
