// The Python module voxtral_kernels._ext. Arguments are checked in Python (ops/ and _check.py).
#include <algorithm>
#include <vector>

#include "cpu/launch.h"
#include "cpu/pool.h"
#include "ending.h"
#include "metal/launch.h"
#include "mlx/array.h"
#include "ops/binding.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

// Whether each array is, as MLX holds it, the other one: a change in place gives a Python object another.
bool same_content(const std::vector<mlx::core::array>& arrays, const std::vector<mlx::core::array>& others) {
  const auto same = [](const mlx::core::array& a, const mlx::core::array& b) { return a.id() == b.id(); };
  return std::equal(arrays.begin(), arrays.end(), others.begin(), others.end(), same);
}

}  // namespace

NB_MODULE(_ext, m) {
  voxtral::end_quietly();
  nb::module_::import_("mlx.core");  // registers mx.array and the streams in nanobind's domain "mlx"

  voxtral::bind_launches(m);
  m.def("add_metal_source", &voxtral::add_metal_source, "kernel"_a, "text"_a);
  m.def("metal_source", &voxtral::metal_source, "kernel"_a);
  m.attr("has_metal") = voxtral::kHasMetal;
  for (const voxtral::Bind bind : voxtral::bindings()) bind(m);

  m.def("is_tracer", &mlx::core::array::is_tracer, "array"_a);
  m.def("same_content", &same_content, "arrays"_a, "others"_a);
  m.def("isa", &voxtral::cpu::isa);
  m.def("available_isas", &voxtral::cpu::available_isas);
  m.def("use_isa", &voxtral::cpu::use_isa, "name"_a);
  m.def("lanes", &voxtral::cpu::lanes);
  m.def("threads", [] { return voxtral::cpu::Pool::shared().threads(); });
}
