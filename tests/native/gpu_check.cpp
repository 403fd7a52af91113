// Runs each op's eval_gpu where there is no Metal: fake_metal/ records its dispatches, Python runs them on the emulator.
// Built by tests/backends/test_native_gpu.py.
#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "cpu/launch.h"
#include "mlx/backend/metal/device.h"
#include "mlx/transforms.h"
#include "ops/ada_rms_norm.h"
#include "ops/causal_conv1d_gelu.h"
#include "ops/sliding_window_attention.h"

namespace nb = nanobind;
namespace mx = mlx::core;
using voxtral::Arrays;
using voxtral::MetalLaunches;
using Maybe = std::optional<mx::array>;

namespace voxtral::cpu {

void launch(AdaRmsNormArgs) { throw std::logic_error("eval_cpu"); }
void launch(CausalConv1dGeluArgs) { throw std::logic_error("eval_cpu"); }
void launch(SlidingWindowAttentionArgs) { throw std::logic_error("eval_cpu"); }
void launch(const RingCommitArgs&) { throw std::logic_error("eval_cpu"); }

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

Arrays evaluated(mx::array out) {
  mx::eval(out.inputs());
  Arrays outputs = out.outputs();
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
  nb::class_<voxtral::MetalLaunch>(m, "MetalLaunch")
      .def("__init__", [](voxtral::MetalLaunch* self, std::string kernel, std::array<int, 3> grid,
                          std::array<int, 3> threadgroup, const std::vector<std::vector<int>>& temporaries) {
        new (self) voxtral::MetalLaunch{std::move(kernel), grid, threadgroup, {}};
        for (const auto& shape : temporaries) self->temporaries.emplace_back(shape.begin(), shape.end());
      });
  m.def("add_metal_source", &voxtral::add_metal_source);
  m.def("set_runner", &set_runner);
  m.def(
      "ada_rms_norm",
      [](const mx::array& x, const Maybe& weight, const Maybe& scale, float eps, const Maybe& residual,
         const MetalLaunches& launches) {
        return evaluated(voxtral::ada_rms_norm(x, weight, scale, eps, residual, mx::Device::cpu, launches)[0]);
      },
      nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg(), nb::arg().none(), nb::arg());
  m.def(
      "causal_conv1d_gelu",
      [](const mx::array& x, const mx::array& weight, const Maybe& bias, const Maybe& context, int stride, int left,
         int right, bool gelu, const MetalLaunches& launches) {
        return evaluated(voxtral::causal_conv1d_gelu(x, weight, bias, context, stride, left, right, gelu,
                                                     mx::Device::cpu, launches));
      },
      nb::arg(), nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg());
  m.def(
      "sliding_window_attention",
      [](const mx::array& q, const Maybe& ring, int64_t end, const mx::array& k, const mx::array& v,
         std::optional<int64_t> window, float scale, const MetalLaunches& launches) {
        return evaluated(
            voxtral::sliding_window_attention(q, ring, end, k, v, window, scale, mx::Device::cpu, launches));
      },
      nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg());
  m.def("ring_commit", [](const mx::array& ring, int64_t start, const mx::array& k, const mx::array& v,
                          const MetalLaunches& launches) {
    return evaluated(voxtral::ring_commit(ring, start, k, v, k, mx::Device::cpu, launches));
  });
}
