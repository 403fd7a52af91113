// Rotary positions on q and k, q, k and v split into heads, k and v behind the tails of a cache.
#include <optional>
#include <tuple>

#include "metal/encoder.h"
#include "ops/binding.h"
#include "ops/primitive.h"

#include "cpu/launch.h"
#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/ops.h"

namespace voxtral {
namespace {

constexpr const char* kOp = "rope_append";

struct Options {
  int heads, kv_heads;
  bool packed, tail;  // inputs: q, rotation; k, v unless packed; the tails of k and v where present
  MetalLaunches launches;
  bool operator==(const Options&) const = default;
};

// The inputs of a call by name, and its sizes. Where packed, k and v stand behind q in each row.
struct Call {
  const mx::array &q, &rotation;
  const mx::array *k, *v, *tail_k = nullptr, *tail_v = nullptr;
  int length, dim, batch, tail = 0;
  int q_row, kv_row, k_offset = 0, v_offset = 0;

  Call(const Arrays& inputs, const Options& o) : q(inputs[0]), rotation(inputs[1]), k(&q), v(&q) {
    std::size_t next = 2;
    if (!o.packed) k = &inputs[next++], v = &inputs[next++];
    if (o.tail) tail_k = &inputs[next++], tail_v = &inputs[next++], tail = tail_k->shape(2);
    length = rotation.shape(0), dim = 2 * rotation.shape(1);
    q_row = q.shape(-1), kv_row = k->shape(-1);
    batch = int(q.size() / q_row / length);
    if (o.packed) k_offset = o.heads * dim, v_offset = k_offset + o.kv_heads * dim;
  }

  mx::Shape query_shape(const Options& o) const { return {batch, o.heads, length, dim}; }
  mx::Shape kv_shape(const Options& o) const { return {batch, o.kv_heads, tail + length, dim}; }
};

Arrays composed(const Arrays& inputs, const Options& o, mx::Stream s) {
  const Call call(inputs, o);
  const auto heads = [&](const mx::array& rows, int offset, int n) {
    mx::array x = mx::reshape(rows, {call.batch, call.length, rows.shape(-1)}, s);
    x = mx::slice(x, {0, 0, offset}, {call.batch, call.length, offset + n * call.dim}, s);
    return mx::transpose(mx::reshape(x, {call.batch, call.length, n, call.dim}, s), {0, 2, 1, 3}, s);
  };
  const Arrays angles = mx::split(call.rotation, 2, -1, s);
  const auto rotated = [&](const mx::array& x) {
    const Arrays pair = mx::split(mx::unflatten(mx::astype(x, mx::float32, s), -1, {-1, 2}, s), 2, -1, s);
    const mx::array first = mx::subtract(mx::multiply(pair[0], angles[0], s), mx::multiply(pair[1], angles[1], s), s);
    const mx::array second = mx::add(mx::multiply(pair[1], angles[0], s), mx::multiply(pair[0], angles[1], s), s);
    return mx::astype(mx::flatten(mx::concatenate({first, second}, -1, s), -2, -1, s), x.dtype(), s);
  };
  mx::array k = rotated(heads(*call.k, call.k_offset, o.kv_heads)), v = heads(*call.v, call.v_offset, o.kv_heads);
  if (o.tail) {
    k = mx::concatenate({*call.tail_k, k}, 2, s);
    v = mx::concatenate({*call.tail_v, v}, 2, s);
  }
  return {rotated(heads(call.q, 0, o.heads)), k, v};
}

class RopeAppend : public Op<Options> {
 public:
  using Op::Op;

  void eval_cpu(const Arrays& inputs, Arrays& outputs) override;
  void eval_gpu(const Arrays& inputs, Arrays& outputs) override;
  const char* name() const override { return "VoxtralRopeAppend"; }
  std::vector<mx::Shape> output_shapes(const Arrays& inputs) override {
    const Call call(inputs, options_);
    return {call.query_shape(options_), call.kv_shape(options_), call.kv_shape(options_)};
  }
};

}  // namespace

// rotation: [L, D / 2, 2] float32, cosine and sine of each pair's angle. q: B x L rows of Hq x D; k, v: the same of
// Hkv x D, or none where each row of q holds q, k and v. tail_k, tail_v: [B, Hkv, T, D] or none. One dtype.
// Returns q [B, Hq, L, D] and both tails [B, Hkv, T + L, D].
std::tuple<mx::array, mx::array, mx::array> rope_append(const mx::array& q, const std::optional<mx::array>& k,
                                                        const std::optional<mx::array>& v, const mx::array& rotation,
                                                        const std::optional<mx::array>& tail_k,
                                                        const std::optional<mx::array>& tail_v, int n_heads,
                                                        int n_kv_heads, mx::StreamOrDevice device,
                                                        const LaunchList* launches) {
  kernel_dtype(kOp, q);
  require(rotation.ndim() == 3 && rotation.shape(0) >= 1 && rotation.shape(1) >= 1 && rotation.shape(2) == 2 &&
              rotation.dtype() == mx::float32,
          kOp, "rotation: expected [L, D / 2, 2] of float32.");
  require(k.has_value() == v.has_value() && tail_k.has_value() == tail_v.has_value() && n_heads >= 1 && n_kv_heads >= 1,
          kOp, "k, v, tails: expected both or none.");
  const int length = rotation.shape(0), dim = 2 * rotation.shape(1);
  const auto is_rows = [&](const mx::array& a, int heads) {
    return a.ndim() >= 2 && a.shape(-1) == heads * dim && a.size() / a.shape(-1) == q.size() / q.shape(-1) &&
           a.dtype() == q.dtype();
  };
  require(q.ndim() >= 2 && is_rows(q, k ? n_heads : n_heads + 2 * n_kv_heads), kOp, "q: expected rows of heads.");
  require(q.size() / q.shape(-1) % length == 0 && q.size() > 0, kOp, "q: expected B x L rows.");
  Arrays inputs{q, rotation};
  if (k) {
    require(is_rows(*k, n_kv_heads) && is_rows(*v, n_kv_heads), kOp, "k, v: expected rows of heads.");
    inputs.push_back(*k), inputs.push_back(*v);
  }
  if (tail_k) {
    const int batch = int(q.size() / q.shape(-1) / length);
    require(tail_k->ndim() == 4 && tail_k->shape() == tail_v->shape() && tail_k->shape(0) == batch &&
                tail_k->shape(1) == n_kv_heads && tail_k->shape(3) == dim && tail_k->dtype() == q.dtype() &&
                tail_v->dtype() == q.dtype(),
            kOp, "tails: expected [B, Hkv, T, D].");
    inputs.push_back(*tail_k), inputs.push_back(*tail_v);
  }
  const mx::Stream stream = mx::to_stream(device);
  const Options options{n_heads, n_kv_heads, !k, tail_k.has_value(), launches_of(launches)};
  inputs = contiguous_on_gpu(std::move(inputs), stream);
  const Call call(inputs, options);
  const mx::Shape rows = call.kv_shape(options);
  auto out = mx::array::make_arrays({call.query_shape(options), rows, rows}, {q.dtype(), q.dtype(), q.dtype()},
                                    std::make_shared<RopeAppend>(stream, options, composed), inputs);
  return {std::move(out[0]), std::move(out[1]), std::move(out[2])};
}

void RopeAppend::eval_cpu(const Arrays& inputs, Arrays& outputs) {
  for (auto& out : outputs) out.set_data(mx::allocator::malloc(out.nbytes()));
  const Call call(inputs, options_);
  const auto pointer = [&](const mx::array& a, int offset = 0) -> const void* {
    return readable(a, stream(), true).data<char>() + offset * a.itemsize();
  };
  cpu::RopeAppendArgs args{};
  args.q = pointer(call.q);
  if (options_.packed) {
    args.k = static_cast<const char*>(args.q) + call.k_offset * call.q.itemsize();
    args.v = static_cast<const char*>(args.q) + call.v_offset * call.q.itemsize();
  } else {
    args.k = pointer(*call.k), args.v = pointer(*call.v);
  }
  args.rotation = static_cast<const float*>(pointer(call.rotation));
  if (options_.tail) args.tail_k = pointer(*call.tail_k), args.tail_v = pointer(*call.tail_v);
  args.out_q = outputs[0].data<void>(), args.out_k = outputs[1].data<void>(), args.out_v = outputs[2].data<void>();
  args.q_row = call.q_row, args.k_row = args.v_row = call.kv_row;
  args.batch = call.batch, args.heads = options_.heads, args.kv_heads = options_.kv_heads;
  args.length = call.length, args.dim = call.dim, args.tail = call.tail;
  args.dtype = kernel_dtype(kOp, call.q);
  mx::cpu::get_command_encoder(stream()).dispatch([args] { cpu::launch(args); });
}

void RopeAppend::eval_gpu(const Arrays& inputs, Arrays& outputs) {
  for (auto& out : outputs) out.set_data(mx::allocator::malloc(out.nbytes()));
  const Call call(inputs, options_);
  Encoder encoder(stream(), launch_at(kOp, options_.launches, 0));
  encoder.input(call.q);
  encoder.input(*call.k);
  encoder.input(*call.v);
  encoder.input(call.rotation);
  // Without tails nothing is read of them: q stands in their place.
  encoder.input(options_.tail ? *call.tail_k : call.q);
  encoder.input(options_.tail ? *call.tail_v : call.q);
  encoder.ints({options_.heads, options_.kv_heads, call.length, call.tail, call.dim, options_.packed});
  for (auto& out : outputs) encoder.output(out);
  encoder.dispatch();
}

const Binding binding([](nanobind::module_& m) {
  using namespace nanobind::literals;
  bind_op(m, kOp, &rope_append, "q"_a, "k"_a.none(), "v"_a.none(), "rotation"_a, "tail_k"_a.none(), "tail_v"_a.none(),
          "n_heads"_a, "n_kv_heads"_a);
});

}  // namespace voxtral
