// y = epilogue(prologue(x) W^T) of 1 to 16 rows, W plain or quantised; see reference/skinny_linear.py.
#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>

#include "metal/encoder.h"
#include "ops/binding.h"
#include "ops/primitive.h"

#include "cpu/launch.h"
#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/ops.h"

namespace voxtral {
namespace {

constexpr const char* kOp = "skinny_linear";

struct Options {
  bool packed, bias, norm, scale, residual, add, gated, rotation, tail;  // which inputs there are, in the order of Call
  float eps;
  int heads, kv_heads, length;
  MetalLaunches launches;
  bool operator==(const Options&) const = default;
};

// The inputs of a call by name, and its sizes.
struct Call {
  const mx::array &x, &weight;
  const mx::array *scales = nullptr, *biases = nullptr, *bias = nullptr, *norm = nullptr, *scale = nullptr;
  const mx::array *residual = nullptr, *add = nullptr, *rotation = nullptr, *tail_k = nullptr, *tail_v = nullptr;
  int rows, k, n, dim = 0, tail = 0;

  Call(const Arrays& inputs, const Options& o) : x(inputs[0]), weight(inputs[1]) {
    std::size_t next = 2;
    const auto take = [&](bool there) { return there ? &inputs[next++] : nullptr; };
    scales = take(o.packed), biases = take(o.packed), bias = take(o.bias), norm = take(o.norm), scale = take(o.scale);
    residual = take(o.residual), add = take(o.add), rotation = take(o.rotation);
    tail_k = take(o.tail), tail_v = take(o.tail);
    k = x.shape(-1), n = weight.shape(0), rows = int(x.size() / k);
    if (rotation) dim = 2 * rotation->shape(1);
    if (tail_k) tail = tail_k->shape(2);
  }

  int bits() const { return scales ? int(std::int64_t(weight.shape(1)) * 32 / k) : 0; }
  int group() const { return scales ? k / scales->shape(1) : 0; }

  std::vector<mx::Shape> output_shapes(const Options& o) const {
    std::vector<mx::Shape> shapes;
    if (rotation) {
      const int batch = rows / o.length;
      const mx::Shape kv{batch, o.kv_heads, tail + o.length, dim};
      shapes = {{batch, o.heads, o.length, dim}, kv, kv};
    } else {
      shapes = {x.shape()};
      shapes[0].back() = o.gated ? n / 2 : n;
    }
    if (residual) shapes.push_back(x.shape());
    return shapes;
  }
};

mx::array normed(const Call& in, const Options& o, const mx::array& h, mx::Stream s) {
  const mx::array wide = mx::astype(mx::reshape(h, {in.rows, in.k}, s), mx::float32, s);
  const mx::array mean = mx::mean(mx::square(wide, s), -1, true, s);
  mx::array y = mx::multiply(wide, mx::rsqrt(mx::add(mean, mx::array(o.eps), s), s), s);
  y = mx::multiply(y, mx::astype(*in.norm, mx::float32, s), s);
  if (!in.scale) return y;
  mx::array gain = mx::add(mx::astype(*in.scale, mx::float32, s), mx::array(1.0f), s);
  if (gain.ndim() == 2) gain = mx::repeat(gain, in.rows / gain.shape(0), 0, s);
  return mx::multiply(y, gain, s);
}

// Columns [first, first + n x dim) as [B, n, L, dim], turned where there are angles.
mx::array heads_of(const Call& in, const Options& o, const mx::array& y, int first, int n, bool turned, mx::Stream s) {
  mx::array x = mx::slice(y, {0, first}, {in.rows, first + n * in.dim}, s);
  x = mx::reshape(x, {in.rows / o.length, o.length, n, in.dim / 2, 2}, s);
  if (turned) {
    mx::array angles = mx::reshape(*in.rotation, {-1, o.length, 1, in.dim / 2, 2}, s);
    const Arrays pair = mx::split(x, 2, -1, s), angle = mx::split(angles, 2, -1, s);
    const mx::array one = mx::subtract(mx::multiply(pair[0], angle[0], s), mx::multiply(pair[1], angle[1], s), s);
    const mx::array two = mx::add(mx::multiply(pair[1], angle[0], s), mx::multiply(pair[0], angle[1], s), s);
    x = mx::concatenate({one, two}, -1, s);
  }
  return mx::transpose(mx::flatten(x, 3, 4, s), {0, 2, 1, 3}, s);
}

Arrays composed(const Arrays& inputs, const Options& o, mx::Stream s) {
  const Call in(inputs, o);
  const mx::Dtype dtype = in.x.dtype();
  const mx::array h = in.residual ? mx::add(in.x, *in.residual, s) : in.x;
  const auto wide = [&](const mx::array& a) { return mx::astype(a, mx::float32, s); };
  const mx::array rows = in.norm ? normed(in, o, h, s) : mx::reshape(wide(h), {in.rows, in.k}, s);
  mx::array y = in.scales ? mx::quantized_matmul(rows, in.weight, wide(*in.scales), wide(*in.biases), true, in.group(),
                                                 in.bits(), "affine", s)
                          : mx::matmul(rows, mx::transpose(wide(in.weight), s), s);
  if (in.bias) y = mx::add(y, wide(*in.bias), s);
  Arrays out;
  if (in.rotation) {
    const int k_at = o.heads * in.dim, v_at = k_at + o.kv_heads * in.dim;
    out.push_back(mx::astype(heads_of(in, o, y, 0, o.heads, true, s), dtype, s));
    out.push_back(mx::astype(heads_of(in, o, y, k_at, o.kv_heads, true, s), dtype, s));
    out.push_back(mx::astype(heads_of(in, o, y, v_at, o.kv_heads, false, s), dtype, s));
    if (in.tail_k) out[1] = mx::concatenate({*in.tail_k, out[1]}, 2, s);
    if (in.tail_v) out[2] = mx::concatenate({*in.tail_v, out[2]}, 2, s);
  } else {
    if (o.gated) {
      const Arrays pair = mx::split(mx::reshape(y, {in.rows, in.n / 2, 2}, s), 2, -1, s);
      y = mx::multiply(mx::multiply(pair[0], mx::sigmoid(pair[0], s), s), pair[1], s);
    }
    y = mx::reshape(y, in.output_shapes(o)[0], s);
    out.push_back(mx::astype(in.add ? mx::add(y, wide(*in.add), s) : y, dtype, s));
  }
  if (in.residual) out.push_back(h);
  return out;
}

class SkinnyLinear : public Op<Options> {
 public:
  using Op::Op;

  void eval_cpu(const Arrays& inputs, Arrays& outputs) override;
  void eval_gpu(const Arrays& inputs, Arrays& outputs) override;
  const char* name() const override { return "VoxtralSkinnyLinear"; }
  std::vector<mx::Shape> output_shapes(const Arrays& inputs) override {
    return Call(inputs, options_).output_shapes(options_);
  }
};

void check(const Call& in, const Options& o) {
  const auto is = [&](const mx::array* a, const mx::Shape& shape, bool wide = false) {
    return !a || (a->shape() == shape && (a->dtype() == in.x.dtype() || (wide && a->dtype() == mx::float32)));
  };
  if (in.scales) {
    const int bits = in.bits(), group = in.group();
    const bool known = bits == 2 || bits == 3 || bits == 4 || bits == 5 || bits == 6 || bits == 8;
    require(in.weight.dtype() == mx::uint32 && known && std::int64_t(bits) * in.k == 32l * in.weight.shape(1) &&
                (group == 32 || group == 64 || group == 128) && in.k % group == 0 &&
                is(in.scales, {in.n, in.k / group}, true) && is(in.biases, in.scales->shape(), true) &&
                in.scales->dtype() == in.biases->dtype(),
            kOp, "weight, scales, biases: expected what mx.quantize makes of [N, K].");
  } else {
    require(is(&in.weight, {in.n, in.k}), kOp, "weight: expected [N, K] of x's dtype.");
  }
  const bool many = in.scale && in.scale->ndim() == 2 && in.scale->shape(0) >= 1 && in.rows % in.scale->shape(0) == 0;
  require(is(in.bias, {in.n}) && is(in.norm, {in.k}) && is(in.residual, in.x.shape()), kOp,
          "bias, norm, residual: expected [N], [K] and x's shape.");
  require(is(in.scale, many ? mx::Shape{in.scale->shape(0), in.k} : mx::Shape{in.k}, true), kOp,
          "scale: expected [K] or [S, K].");
  require(in.norm || (!in.scale && !in.residual), kOp, "norm: expected one with a scale or a residual.");
  require(int(o.add) + int(o.gated) + int(o.rotation) <= 1 && (!o.gated || in.n % 2 == 0), kOp,
          "epilogue: expected one of add, gated (an even N) and rotation.");
  mx::Shape full = in.x.shape();
  full.back() = in.n;
  require(is(in.add, full), kOp, "add: expected [..., N].");
  if (!in.rotation) return require(!in.tail_k, kOp, "tails: expected none without a rotation.");
  const int turns = in.rotation->shape(0);
  require(o.heads >= 1 && o.kv_heads >= 1 && o.length >= 1 && in.rows % o.length == 0 &&
              (turns == o.length || turns == in.rows) && in.n == (o.heads + 2 * o.kv_heads) * in.dim,
          kOp, "rotation: expected one of each position or row, and N = (Hq + 2 Hkv) D.");
  const mx::Shape tail{in.rows / o.length, o.kv_heads, in.tail, in.dim};
  require(is(in.tail_k, tail) && is(in.tail_v, tail), kOp, "tails: expected [B, Hkv, T, D].");
}

using Result = std::variant<mx::array, std::pair<mx::array, mx::array>, std::tuple<mx::array, mx::array, mx::array>,
                            std::tuple<mx::array, mx::array, mx::array, mx::array>>;

Result result_of(const Arrays& out) {
  if (out.size() == 1) return out[0];
  if (out.size() == 2) return std::pair{out[0], out[1]};
  if (out.size() == 3) return std::tuple{out[0], out[1], out[2]};
  return std::tuple{out[0], out[1], out[2], out[3]};
}

using Optional = std::optional<mx::array>;

}  // namespace

// The fields of reference/skinny_linear.py's request. Returns y, or q, k and v; behind them x + residual where there is
// a residual.
Result skinny_linear(const mx::array& x, const mx::array& weight, const Optional& scales, const Optional& biases,
                     const Optional& bias, const Optional& norm, const Optional& scale, float eps,
                     const Optional& residual, const Optional& add, bool gated, int length, const Optional& rotation,
                     const Optional& tail_k, const Optional& tail_v, int n_heads, int n_kv_heads,
                     mx::StreamOrDevice device, const LaunchList* launches) {
  kernel_dtype(kOp, x);
  require(x.ndim() >= 1 && x.size() > 0 && weight.ndim() == 2 && weight.size() > 0, kOp,
          "x, weight: expected [..., K] and [N, K].");
  require(scales.has_value() == biases.has_value() && tail_k.has_value() == tail_v.has_value(), kOp,
          "scales and biases, tails: expected both or none.");
  require((!scales || (scales->ndim() == 2 && scales->shape(1) >= 1)) && (!tail_k || tail_k->ndim() == 4), kOp,
          "scales, tails: expected [N, K / group_size], [B, Hkv, T, D].");
  require(!rotation || (rotation->ndim() == 3 && rotation->size() > 0 && rotation->shape(2) == 2 &&
                        rotation->dtype() == mx::float32),
          kOp, "rotation: expected [L, D / 2, 2] of float32.");
  const mx::Stream stream = mx::to_stream(device);
  Options o{scales.has_value(),
            bias.has_value(),
            norm.has_value(),
            scale.has_value(),
            residual.has_value(),
            add.has_value(),
            gated,
            rotation.has_value(),
            tail_k.has_value(),
            eps,
            n_heads,
            n_kv_heads,
            length,
            launches_of(launches)};
  Arrays inputs{x, weight};
  for (const Optional* a : {&scales, &biases, &bias, &norm, &scale, &residual, &add, &rotation, &tail_k, &tail_v}) {
    if (*a) inputs.push_back(**a);
  }
  check(Call(inputs, o), o);
  inputs = contiguous_on_gpu(std::move(inputs), stream);
  std::vector<mx::Shape> shapes = Call(inputs, o).output_shapes(o);
  std::vector<mx::Dtype> dtypes(shapes.size(), x.dtype());
  return result_of(
      mx::array::make_arrays(std::move(shapes), dtypes, std::make_shared<SkinnyLinear>(stream, o, composed), inputs));
}

void SkinnyLinear::eval_cpu(const Arrays& inputs, Arrays& outputs) {
  for (auto& out : outputs) out.set_data(mx::allocator::malloc(out.nbytes()));
  const Call in(inputs, options_);
  const auto pointer = [&](const mx::array* a) -> const void* {
    return a ? readable(*a, stream(), true).data<void>() : nullptr;
  };
  cpu::SkinnyLinearArgs args{};
  args.x = pointer(&in.x), args.weight = pointer(&in.weight);
  args.scales = pointer(in.scales), args.biases = pointer(in.biases), args.bias = pointer(in.bias);
  args.norm = pointer(in.norm), args.scale = pointer(in.scale), args.residual = pointer(in.residual);
  args.add = pointer(in.add), args.rotation = static_cast<const float*>(pointer(in.rotation));
  args.tail_k = pointer(in.tail_k), args.tail_v = pointer(in.tail_v);
  args.y = outputs[0].data<void>();
  if (in.rotation) args.out_k = outputs[1].data<void>(), args.out_v = outputs[2].data<void>();
  if (in.residual) args.h = outputs.back().data<void>();
  args.rows = in.rows, args.k = in.k, args.n = in.n, args.bits = in.bits(), args.group = in.group();
  args.rows_per_scale = in.scale && in.scale->ndim() == 2 ? in.rows / in.scale->shape(0) : in.rows;
  args.turns = in.rotation ? in.rotation->shape(0) : 0, args.heads = options_.heads, args.kv_heads = options_.kv_heads;
  args.dim = in.dim, args.length = options_.length, args.tail = in.tail;
  args.eps = options_.eps, args.gated = options_.gated, args.dtype = kernel_dtype(kOp, in.x);
  args.scales_dtype = in.scales ? kernel_dtype(kOp, *in.scales) : args.dtype;
  args.scale_dtype = in.scale ? kernel_dtype(kOp, *in.scale) : args.dtype;
  mx::cpu::get_command_encoder(stream()).dispatch([args] { cpu::launch(args); });
}

void SkinnyLinear::eval_gpu(const Arrays& inputs, Arrays& outputs) {
  for (auto& out : outputs) out.set_data(mx::allocator::malloc(out.nbytes()));
  const Call in(inputs, options_);
  Encoder encoder(stream(), launch_at(kOp, options_.launches, 0));
  // Of what is absent nothing is read: x stands in its place.
  const auto give = [&](const mx::array* a) { encoder.input(a ? *a : in.x); };
  encoder.input(in.x);
  encoder.input(in.weight);
  for (const mx::array* a : {in.scales, in.biases, in.bias, in.norm, in.scale}) give(a);
  if (in.residual) encoder.input(*in.residual);
  if (in.rotation) {
    for (const mx::array* a : {in.rotation, in.tail_k, in.tail_v}) give(a);
  } else {
    give(in.add);
  }
  int options = 0;
  const bool present[] = {bool(in.bias),     bool(in.norm), bool(in.scale),
                          bool(in.residual), bool(in.add),  options_.gated};
  for (int i = 0; i < 6; ++i) options |= int(present[i]) << i;
  const int rows_per_scale = in.scale && in.scale->ndim() == 2 ? in.rows / in.scale->shape(0) : in.rows;
  encoder.ints({in.rows, in.k, in.n, options, rows_per_scale, std::max(in.group(), 1)});
  if (in.rotation) {
    encoder.ints({options_.heads, options_.kv_heads, options_.length, in.tail, in.dim, in.rotation->shape(0)});
  }
  encoder.number(options_.eps);
  for (auto& out : outputs) encoder.output(out);
  encoder.dispatch();
}

const Binding binding([](nanobind::module_& m) {
  using namespace nanobind::literals;
  bind_op(m, kOp, &skinny_linear, "x"_a, "weight"_a, "scales"_a.none(), "biases"_a.none(), "bias"_a.none(),
          "norm"_a.none(), "scale"_a.none(), "eps"_a, "residual"_a.none(), "add"_a.none(), "gated"_a, "length"_a,
          "rotation"_a.none(), "tail_k"_a.none(), "tail_v"_a.none(), "n_heads"_a, "n_kv_heads"_a);
});

}  // namespace voxtral
