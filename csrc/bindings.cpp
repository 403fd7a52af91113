// The Python module voxtral_kernels._ext. Arguments are checked in Python (ops/ and _check.py).
#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include "cpu/launch.h"
#include "cpu/pool.h"
#include "metal/launch.h"
#include "ops/ada_rms_norm.h"
#include "ops/causal_conv1d_gelu.h"
#include "ops/sliding_window_attention.h"

namespace nb = nanobind;
using namespace nb::literals;

NB_MODULE(_ext, m) {
  nb::module_::import_("mlx.core");  // registers mx.array and the streams in nanobind's domain "mlx"

  nb::class_<voxtral::MetalLaunch>(m, "MetalLaunch")
      .def("__init__", [](voxtral::MetalLaunch* self, std::string kernel, std::array<int, 3> grid,
                          std::array<int, 3> threadgroup, const std::vector<std::vector<int>>& temporaries) {
        new (self) voxtral::MetalLaunch{std::move(kernel), grid, threadgroup, {}};
        for (const auto& shape : temporaries) self->temporaries.emplace_back(shape.begin(), shape.end());
      });
  m.def("add_metal_source", &voxtral::add_metal_source, "kernel"_a, "text"_a);
  m.def("metal_source", &voxtral::metal_source, "kernel"_a);
  m.attr("has_metal") = voxtral::kHasMetal;
  const voxtral::MetalLaunches none;

  m.def("ada_rms_norm", &voxtral::ada_rms_norm, "x"_a, "weight"_a.none(), "scale"_a.none(), "eps"_a,
        "residual"_a.none(), "stream"_a.none(), "launches"_a = none);
  m.def("causal_conv1d_gelu", &voxtral::causal_conv1d_gelu, "x"_a, "weight"_a, "bias"_a.none(), "context"_a.none(),
        "stride"_a, "pad_left"_a, "pad_right"_a, "gelu"_a, "stream"_a.none(), "launches"_a = none);
  m.def("linear", &voxtral::linear, "x"_a, "weight"_a, "bias"_a.none(), "stream"_a.none());
  m.def("sliding_window_attention", &voxtral::sliding_window_attention, "q"_a, "ring"_a.none(), "ring_end"_a,
        "tail_k"_a, "tail_v"_a, "window"_a.none(), "scale"_a, "stream"_a.none(), "launches"_a = none);
  m.def("ring_commit", &voxtral::ring_commit, "ring"_a, "start"_a, "k"_a, "v"_a, "after"_a, "stream"_a.none(),
        "launches"_a = none);

  m.def("is_tracer", &mlx::core::array::is_tracer, "array"_a);
  m.def("commit_bytes", [] {
    const auto bytes = voxtral::commit_bytes();
    return nb::make_tuple(bytes.rows, bytes.rings);
  });
  m.def("isa", &voxtral::cpu::isa);
  m.def("available_isas", &voxtral::cpu::available_isas);
  m.def("use_isa", &voxtral::cpu::use_isa, "name"_a);
  m.def("lanes", &voxtral::cpu::lanes);
  m.def("threads", [] { return voxtral::cpu::Pool::shared().threads(); });
}
