// y = x * scale + shift.
#include "cpu/launch.h"
#include "metal/encoder.h"
#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/ops.h"
#include "ops/binding.h"
#include "ops/primitive.h"

namespace voxtral {
namespace {

constexpr const char* kOp = "scale_shift";

Arrays composed(const Arrays& in, const MetalLaunches&, mx::Stream s) {
  return {mx::add(mx::multiply(in[0], in[1], s), in[2], s)};
}

class ScaleShift : public Op<MetalLaunches> {
 public:
  using Op::Op;

  void eval_cpu(const Arrays& inputs, Arrays& outputs) override {
    outputs[0].set_data(mx::allocator::malloc(outputs[0].nbytes()));
    const auto pointer = [&](int i) { return readable(inputs[i], stream(), true).data<void>(); };
    cpu::ScaleShiftArgs args{};
    args.x = pointer(0), args.scale = pointer(1), args.shift = pointer(2);
    args.y = outputs[0].data<void>();
    args.dim = inputs[0].shape(-1);
    args.rows = cpu::Index(inputs[0].size()) / args.dim;
    args.dtype = kernel_dtype(kOp, inputs[0]);
    mx::cpu::get_command_encoder(stream()).dispatch([args] { cpu::launch(args); });
  }

  void eval_gpu(const Arrays& inputs, Arrays& outputs) override {
    outputs[0].set_data(mx::allocator::malloc(outputs[0].nbytes()));
    if (inputs[0].size() == 0) return;
    const int dim = inputs[0].shape(-1);
    Encoder encoder(stream(), launch_at(kOp, options_, 0));
    encoder.input(inputs[0]);
    encoder.ints({int(inputs[0].size()) / dim, dim});
    encoder.input(inputs[1]);
    encoder.input(inputs[2]);
    encoder.output(outputs[0]);
    encoder.dispatch();
  }

  const char* name() const override { return "VoxtralScaleShift"; }
  std::vector<mx::Shape> output_shapes(const Arrays& inputs) override { return {inputs[0].shape()}; }
};

}  // namespace

// x: [..., D]; scale, shift: [D]. One dtype.
mx::array scale_shift(const mx::array& x, const mx::array& scale, const mx::array& shift, mx::StreamOrDevice device,
                      const LaunchList* launches) {
  kernel_dtype(kOp, x);
  const mx::Shape row{x.shape(-1)};
  require(scale.shape() == row && shift.shape() == row, kOp, "scale, shift: expected [D].");
  require(scale.dtype() == x.dtype() && shift.dtype() == x.dtype(), kOp, "scale, shift: expected x's dtype.");
  const mx::Stream stream = mx::to_stream(device);
  return mx::array(x.shape(), x.dtype(), std::make_shared<ScaleShift>(stream, launches_of(launches), composed),
                   contiguous_on_gpu({x, scale, shift}, stream));
}

const Binding binding([](nanobind::module_& m) {
  using namespace nanobind::literals;
  bind_op(m, kOp, &scale_shift, "x"_a, "scale"_a, "shift"_a);
});

}  // namespace voxtral
