// y[t] = gelu(bias + sum_k weight[:, k] @ frame[t * stride + k]), frames = zeros, context, x, zeros.
#include <optional>

#include "metal/encoder.h"
#include "ops/binding.h"
#include "ops/primitive.h"

#include <cmath>

#include "cpu/launch.h"
#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/ops.h"

namespace voxtral {
namespace {

constexpr const char* kOp = "causal_conv1d_gelu";

struct Options {
  int stride, pad_left, pad_right;
  bool gelu, bias, context;  // bias and context follow x and weight, where present
  MetalLaunches launches;
  bool linear = false;  // x: [..., C_in], weight: [C_out, C_in]; on a CPU only
  bool operator==(const Options&) const = default;
};

struct Inputs {
  const mx::array& x;
  const mx::array& weight;
  const mx::array* bias = nullptr;
  const mx::array* context = nullptr;

  Inputs(const Arrays& inputs, const Options& options) : x(inputs[0]), weight(inputs[1]) {
    std::size_t next = 2;
    if (options.bias) bias = &inputs[next++];
    if (options.context) context = &inputs[next++];
  }
};

mx::Shape output_shape(const Inputs& in, const Options& options) {
  if (options.linear) {
    mx::Shape shape = in.x.shape();
    shape.back() = in.weight.shape(0);
    return shape;
  }
  const int frames = options.pad_left + (in.context ? in.context->shape(1) : 0) + in.x.shape(1) + options.pad_right;
  const int rest = frames - in.weight.shape(1);
  return {in.x.shape(0), rest < 0 ? 0 : rest / options.stride + 1, in.weight.shape(0)};
}

Arrays composed(const Arrays& inputs, const Options& options, mx::Stream s) {
  const Inputs in(inputs, options);
  if (options.linear) {
    const mx::array y = mx::matmul(in.x, mx::transpose(in.weight, s), s);
    return {in.bias ? mx::add(y, *in.bias, s) : y};
  }
  mx::array frames = in.context ? mx::concatenate({*in.context, in.x}, 1, s) : in.x;
  const mx::array zero = mx::array(0.0f, in.x.dtype());
  frames = mx::pad(frames, {{0, 0}, {options.pad_left, options.pad_right}, {0, 0}}, zero, "constant", s);
  mx::array y =
      mx::conv1d(mx::astype(frames, mx::float32, s), mx::astype(in.weight, mx::float32, s), options.stride, 0, 1, 1, s);
  if (in.bias) y = mx::add(y, mx::astype(*in.bias, mx::float32, s), s);
  if (options.gelu) {
    const mx::array cdf = mx::add(mx::erf(mx::multiply(y, mx::array(float(M_SQRT1_2)), s), s), mx::array(1.0f), s);
    y = mx::multiply(mx::multiply(y, mx::array(0.5f), s), cdf, s);
  }
  return {mx::astype(y, in.x.dtype(), s)};
}

class CausalConv1dGelu : public Op<Options> {
 public:
  using Op::Op;

  void eval_cpu(const Arrays& inputs, Arrays& outputs) override;
  void eval_gpu(const Arrays& inputs, Arrays& outputs) override;
  const char* name() const override { return "VoxtralCausalConv1dGelu"; }
  std::vector<mx::Shape> output_shapes(const Arrays& inputs) override {
    return {output_shape(Inputs(inputs, options_), options_)};
  }
};

mx::array call(const Options& options, mx::Stream stream, Arrays inputs) {
  auto shape = output_shape(Inputs(inputs, options), options);
  const mx::Dtype dtype = inputs[0].dtype();
  return mx::array(std::move(shape), dtype, std::make_shared<CausalConv1dGelu>(stream, options, composed),
                   std::move(inputs));
}

}  // namespace

// x: [B, T, C_in]; weight: [C_out, K, C_in]; bias: [C_out]; context: [B, S, C_in] frames before x. One dtype.
// Returns [B, T_out, C_out], T_out = (pad_left + S + T + pad_right - K) / stride + 1, or 0 where that is negative.
mx::array causal_conv1d_gelu(const mx::array& x, const mx::array& weight, const std::optional<mx::array>& bias,
                             const std::optional<mx::array>& context, int stride, int pad_left, int pad_right,
                             bool gelu, mx::StreamOrDevice device, const LaunchList* launches) {
  kernel_dtype(kOp, x);
  const mx::Stream stream = mx::to_stream(device);
  require(x.ndim() == 3 && weight.ndim() == 3 && x.shape(2) == weight.shape(2) && weight.shape(1) >= 1, kOp,
          "x, weight: expected [B, T, C_in] and [C_out, K, C_in].");
  require(weight.dtype() == x.dtype() && stride >= 1 && pad_left >= 0 && pad_right >= 0, kOp,
          "weight, stride, padding: expected x's dtype, a positive stride, padding of at least 0.");
  Arrays inputs{x, weight};
  if (bias) {
    require(bias->shape() == mx::Shape{weight.shape(0)} && bias->dtype() == x.dtype(), kOp, "bias: expected [C_out].");
    inputs.push_back(*bias);
  }
  if (context) {
    const bool fits = context->ndim() == 3 && context->shape(0) == x.shape(0) && context->shape(2) == x.shape(2);
    require(fits && context->dtype() == x.dtype(), kOp, "context: expected [B, S, C_in].");
    inputs.push_back(*context);
  }
  const Options options{
      stride, pad_left, pad_right, gelu, bias.has_value(), context.has_value(), launches_of(launches)};
  return call(options, stream, contiguous_on_gpu(std::move(inputs), stream));
}

// x @ weight^T + bias, as a convolution of one tap: x: [..., C_in]; weight: [C_out, C_in]; bias: [C_out]. One dtype.
mx::array linear(const mx::array& x, const mx::array& weight, const std::optional<mx::array>& bias,
                 mx::StreamOrDevice stream) {
  require(x.ndim() >= 1 && weight.ndim() == 2 && x.shape(-1) == weight.shape(1), kOp,
          "x, weight: expected [..., C_in] and [C_out, C_in].");
  kernel_dtype(kOp, x);
  require(weight.dtype() == x.dtype(), kOp, "weight: expected x's dtype.");
  Arrays inputs{x, weight};
  if (bias) {
    require(bias->shape() == mx::Shape{weight.shape(0)} && bias->dtype() == x.dtype(), kOp, "bias: expected [C_out].");
    inputs.push_back(*bias);
  }
  const Options options{1, 0, 0, false, bias.has_value(), false, {}, true};
  return call(options, mx::to_stream(stream), std::move(inputs));
}

void CausalConv1dGelu::eval_cpu(const Arrays& inputs, Arrays& outputs) {
  const Inputs given(inputs, options_);
  mx::array& y = outputs[0];
  y.set_data(mx::allocator::malloc(y.nbytes()));
  const mx::array x = readable(given.x, stream(), options_.linear), weight = readable(given.weight, stream(), true);
  cpu::CausalConv1dGeluArgs args{};
  args.x = x.data<void>();
  args.weight = weight.data<void>();
  args.bias = given.bias ? readable(*given.bias, stream(), true).data<void>() : nullptr;
  args.y = y.data<void>();
  args.in_channels = x.shape(-1);
  if (options_.linear) {
    args.batch = args.kernel = 1;
    args.length = args.out_length = cpu::Index(x.size()) / args.in_channels;
    args.x_time = args.in_channels;
  } else {
    args.batch = x.shape(0);
    args.length = x.shape(1);
    args.x_batch = x.strides(0);
    args.x_time = x.strides(1);
    args.kernel = weight.shape(1);
    args.out_length = y.shape(1);
  }
  if (given.context && given.context->shape(1) > 0) {
    const mx::array context = readable(*given.context, stream(), false);
    args.context = context.data<void>();
    args.context_length = context.shape(1);
    args.context_batch = context.strides(0);
    args.context_time = context.strides(1);
  }
  args.out_channels = weight.shape(0);
  args.stride = options_.stride;
  args.pad_left = options_.pad_left;
  args.gelu = options_.gelu;
  args.dtype = kernel_dtype(kOp, x);
  mx::cpu::get_command_encoder(stream()).dispatch([args] { cpu::launch(args); });
}

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

  Encoder encoder(stream(), launch_at(kOp, options_.launches, 0));
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

const Binding binding([](nanobind::module_& m) {
  using namespace nanobind::literals;
  bind_op(m, kOp, &causal_conv1d_gelu, "x"_a, "weight"_a, "bias"_a.none(), "context"_a.none(), "stride"_a, "pad_left"_a,
          "pad_right"_a, "gelu"_a);
  m.def("linear", &linear, "x"_a, "weight"_a, "bias"_a.none(), "stream"_a.none() = nanobind::none());
});

}  // namespace voxtral
