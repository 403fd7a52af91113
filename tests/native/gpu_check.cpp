// Runs each op's eval_gpu where there is no Metal: fake_metal/ records its dispatches, Python runs them on the emulator.
// Built by tests/backends/test_native_gpu.py.
#include <stdexcept>

#include "cpu/launch.h"
#include "metal/launch.h"
#include "mlx/backend/metal/device.h"
#include "mlx/transforms.h"
#include "ops/binding.h"
#include "ops/primitive.h"

namespace nb = nanobind;
namespace mx = mlx::core;

namespace voxtral::cpu {

#define VOXTRAL_NO_CPU(op, Args, isa) \
  void launch(Args) { throw std::logic_error("eval_cpu"); }
VOXTRAL_OPS(VOXTRAL_NO_CPU, )

}  // namespace voxtral::cpu

namespace {

// run(kernel, text, {index: bytes}, indices of outputs, grid, threadgroup) -> the outputs' bytes.
void set_runner(nb::callable run) {
  static nb::callable& kept = *new nb::callable(run);
  kept = run;
  mx::metal::get_command_encoder(mx::default_stream(mx::Device::cpu)).dispatched =
      [](const MTL::ComputePipelineState& kernel, auto& bound, MTL::Size grid, MTL::Size threadgroup) {
        nb::dict buffers;
        nb::list outputs;
        for (auto& [index, buffer] : bound) {
          buffers[nb::int_(index)] = nb::bytes(buffer.bytes.data(), buffer.bytes.size());
          if (buffer.output) outputs.append(index);
        }
        const auto size = [](MTL::Size s) { return nb::make_tuple(s.width, s.height, s.depth); };
        nb::object results = kept(kernel.name, kernel.library->text, buffers, outputs, size(grid), size(threadgroup));
        std::size_t next = 0;
        for (auto& [index, buffer] : bound) {
          if (!buffer.output) continue;
          const auto bytes = nb::cast<nb::bytes>(results[next++]);
          if (bytes.size() != buffer.bytes.size()) throw std::logic_error("an output came back in another size");
          std::memcpy(buffer.output, bytes.c_str(), bytes.size());
        }
      };
}

// The outputs of the call that `out` is one of, computed by its eval_gpu.
voxtral::Arrays evaluated(mx::array out) {
  mx::eval(out.inputs());
  voxtral::Arrays outputs = out.outputs();
  out.primitive().eval_gpu(out.inputs(), outputs);
  for (auto& a : outputs) {
    a.set_status(mx::array::Status::available);
    a.detach();
  }
  return outputs;
}

}  // namespace

NB_MODULE(_gpu_check, m) {
  nb::module_::import_("mlx.core");
  voxtral::bind_launches(m);
  m.def("add_metal_source", &voxtral::add_metal_source);
  m.def("set_runner", &set_runner);
  m.def("evaluated", &evaluated);
  for (const voxtral::Bind bind : voxtral::bindings()) bind(m);
}
