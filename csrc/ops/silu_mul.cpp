// y = silu(g) u, g and u in turn along x: the gated product of a SwiGLU whose projections are packed so.
#include "metal/encoder.h"
#include "ops/binding.h"
#include "ops/primitive.h"

#include "cpu/launch.h"
#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/ops.h"

namespace voxtral {
namespace {

constexpr const char* kOp = "silu_mul";

mx::Shape output_shape(const mx::array& x) {
  mx::Shape shape = x.shape();
  shape.back() /= 2;
  return shape;
}

Arrays composed(const Arrays& inputs, const MetalLaunches&, mx::Stream s) {
  const mx::array pairs = mx::unflatten(mx::astype(inputs[0], mx::float32, s), -1, {-1, 2}, s);
  const Arrays each = mx::split(pairs, 2, -1, s);
  const mx::array gated = mx::multiply(mx::multiply(each[0], mx::sigmoid(each[0], s), s), each[1], s);
  return {mx::astype(mx::squeeze(gated, -1, s), inputs[0].dtype(), s)};
}

class SiluMul : public Op<MetalLaunches> {
 public:
  using Op::Op;

  void eval_cpu(const Arrays& inputs, Arrays& outputs) override;
  void eval_gpu(const Arrays& inputs, Arrays& outputs) override;
  const char* name() const override { return "VoxtralSiluMul"; }
  std::vector<mx::Shape> output_shapes(const Arrays& inputs) override { return {output_shape(inputs[0])}; }
};

}  // namespace

// x: [..., 2 H]. Returns [..., H] of its dtype.
mx::array silu_mul(const mx::array& x, mx::StreamOrDevice device, const LaunchList* launches) {
  kernel_dtype(kOp, x);
  require(x.ndim() >= 1 && x.shape(-1) >= 2 && x.shape(-1) % 2 == 0, kOp, "x: expected [..., 2 H].");
  const mx::Stream stream = mx::to_stream(device);
  Arrays inputs = contiguous_on_gpu({x}, stream);
  auto primitive = std::make_shared<SiluMul>(stream, launches_of(launches), composed);
  return mx::array(output_shape(x), x.dtype(), std::move(primitive), std::move(inputs));
}

void SiluMul::eval_cpu(const Arrays& inputs, Arrays& outputs) {
  mx::array& y = outputs[0];
  y.set_data(mx::allocator::malloc(y.nbytes()));
  const mx::array x = readable(inputs[0], stream(), true);
  cpu::SiluMulArgs args{};
  args.x = x.data<void>();
  args.y = y.data<void>();
  args.dim = y.shape(-1);
  args.rows = cpu::Index(y.size()) / args.dim;
  args.dtype = kernel_dtype(kOp, x);
  mx::cpu::get_command_encoder(stream()).dispatch([args] { cpu::launch(args); });
}

void SiluMul::eval_gpu(const Arrays& inputs, Arrays& outputs) {
  mx::array& y = outputs[0];
  y.set_data(mx::allocator::malloc(y.nbytes()));
  if (y.size() == 0) return;
  Encoder encoder(stream(), launch_at(kOp, options_, 0));
  encoder.input(inputs[0]);
  encoder.ints({int(y.size() / y.shape(-1)), y.shape(-1)});
  encoder.output(y);
  encoder.dispatch();
}

const Binding binding([](nanobind::module_& m) {
  using namespace nanobind::literals;
  bind_op(m, kOp, &silu_mul, "x"_a);
});

}  // namespace voxtral
