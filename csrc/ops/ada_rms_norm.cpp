// y = h * rsqrt(mean(h^2) + eps) * weight * (1 + scale), h = x + residual.
#include <optional>
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

constexpr const char* kOp = "ada_rms_norm";

struct Options {
  float eps;
  bool weight, scale, residual;  // which of the optional inputs follow x, in this order
  MetalLaunches launches;
  bool operator==(const Options&) const = default;
};

class AdaRmsNorm : public Op<Options> {
 public:
  using Op::Op;

  void eval_cpu(const Arrays& inputs, Arrays& outputs) override;
  void eval_gpu(const Arrays& inputs, Arrays& outputs) override;
  const char* name() const override { return "VoxtralAdaRmsNorm"; }
  std::vector<mx::Shape> output_shapes(const Arrays& inputs) override {
    return std::vector<mx::Shape>(options_.residual ? 2 : 1, inputs[0].shape());
  }
};

// The optional inputs of a call, by name.
struct Inputs {
  const mx::array& x;
  const mx::array* weight = nullptr;
  const mx::array* scale = nullptr;
  const mx::array* residual = nullptr;

  Inputs(const Arrays& inputs, const Options& options) : x(inputs[0]) {
    std::size_t next = 1;
    if (options.weight) weight = &inputs[next++];
    if (options.scale) scale = &inputs[next++];
    if (options.residual) residual = &inputs[next++];
  }
};

Arrays composed(const Arrays& inputs, const Options& options, mx::Stream s) {
  const Inputs in(inputs, options);
  const mx::array h = in.residual ? mx::add(in.x, *in.residual, s) : in.x;
  const mx::array wide = mx::astype(h, mx::float32, s);
  const mx::array mean = mx::mean(mx::square(wide, s), -1, true, s);
  mx::array y = mx::multiply(wide, mx::rsqrt(mx::add(mean, mx::array(options.eps), s), s), s);
  if (in.weight) y = mx::multiply(y, mx::astype(*in.weight, mx::float32, s), s);
  if (in.scale) {
    mx::array gain = mx::add(mx::astype(*in.scale, mx::float32, s), mx::array(1.0f), s);
    if (gain.ndim() == 2) {
      mx::Shape shape(in.x.ndim(), 1);
      shape.front() = gain.shape(0);
      shape.back() = gain.shape(1);
      gain = mx::reshape(gain, shape, s);
    }
    y = mx::multiply(y, gain, s);
  }
  y = mx::astype(y, in.x.dtype(), s);
  return in.residual ? Arrays{y, h} : Arrays{y};
}

}  // namespace

// x, residual: [..., D]; weight: [D]; scale: [D] or [x.shape[0], D], dtype of x or float32. One output, or with a
// residual two: y and h, both of x's shape and dtype.
std::variant<mx::array, std::pair<mx::array, mx::array>> ada_rms_norm(
    const mx::array& x, const std::optional<mx::array>& weight, const std::optional<mx::array>& scale, float eps,
    const std::optional<mx::array>& residual, mx::StreamOrDevice device, const LaunchList* launches) {
  kernel_dtype(kOp, x);
  const mx::Stream stream = mx::to_stream(device);
  require(x.ndim() >= 1 && x.shape(-1) >= 1, kOp, "x: expected [..., D].");
  Arrays inputs{x};
  if (weight) {
    require(weight->shape() == mx::Shape{x.shape(-1)} && weight->dtype() == x.dtype(), kOp, "weight: expected [D].");
    inputs.push_back(*weight);
  }
  if (scale) {
    const bool batched = x.ndim() >= 2 && scale->shape() == mx::Shape{x.shape(0), x.shape(-1)};
    require(batched || scale->shape() == mx::Shape{x.shape(-1)}, kOp, "scale: expected [D] or [B, D].");
    require(scale->dtype() == x.dtype() || scale->dtype() == mx::float32, kOp, "scale: expected x's dtype or float32.");
    inputs.push_back(*scale);
  }
  if (residual) {
    require(residual->shape() == x.shape() && residual->dtype() == x.dtype(), kOp, "residual: expected x's shape.");
    inputs.push_back(*residual);
  }
  const Options options{eps, weight.has_value(), scale.has_value(), residual.has_value(), launches_of(launches)};
  inputs = contiguous_on_gpu(std::move(inputs), stream);
  const auto primitive = std::make_shared<AdaRmsNorm>(stream, options, composed);
  if (!residual) return mx::array(x.shape(), x.dtype(), primitive, std::move(inputs));
  Arrays both = mx::array::make_arrays({x.shape(), x.shape()}, {x.dtype(), x.dtype()}, primitive, inputs);
  return std::pair{std::move(both[0]), std::move(both[1])};
}

void AdaRmsNorm::eval_cpu(const Arrays& inputs, Arrays& outputs) {
  const Inputs given(inputs, options_);
  for (auto& out : outputs) out.set_data(mx::allocator::malloc(out.nbytes()));
  const auto pointer = [&](const mx::array* a) -> const void* {
    return a ? readable(*a, stream(), true).data<void>() : nullptr;
  };
  cpu::AdaRmsNormArgs args{};
  args.x = pointer(&given.x);
  args.weight = pointer(given.weight);
  args.scale = pointer(given.scale);
  args.residual = pointer(given.residual);
  args.y = outputs[0].data<void>();
  args.h = given.residual ? outputs[1].data<void>() : nullptr;
  args.dim = given.x.shape(-1);
  args.rows = given.x.size() / args.dim;
  const bool batched = given.scale && given.scale->ndim() == 2;
  args.rows_per_scale = batched ? std::max<cpu::Index>(args.rows / given.scale->shape(0), 1) : args.rows;
  args.eps = options_.eps;
  args.dtype = kernel_dtype(kOp, given.x);
  args.scale_dtype = given.scale ? kernel_dtype(kOp, *given.scale) : args.dtype;
  mx::cpu::get_command_encoder(stream()).dispatch([args] { cpu::launch(args); });
}

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

  Encoder encoder(stream(), launch_at(kOp, options_.launches, 0));
  encoder.input(x);
  encoder.input(weight);
  encoder.input(scale);
  if (options_.residual) encoder.input(inputs[next]);
  encoder.ints({dim, rows_per_scale});
  encoder.number(options_.eps);
  for (auto& out : outputs) encoder.output(out);
  encoder.dispatch();
}

const Binding binding([](nanobind::module_& m) {
  using namespace nanobind::literals;
  bind_op(m, kOp, &ada_rms_norm, "x"_a, "weight"_a.none(), "scale"_a.none(), "eps"_a, "residual"_a.none());
});

}  // namespace voxtral
