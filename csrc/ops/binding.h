// How the module finds its functions: each op binds its own where it is defined, bindings.cpp makes them all.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <utility>
#include <vector>

#include "metal/launch.h"

namespace voxtral {

using Bind = void (*)(nanobind::module_&);

inline std::vector<Bind>& bindings() {
  static std::vector<Bind> all;
  return all;
}

struct Binding {
  explicit Binding(Bind bind) { bindings().push_back(bind); }
};

// Binds an op: its own arguments, then the two that every op has.
template <class Function, class... Arguments>
void bind_op(nanobind::module_& m, const char* name, Function function, const Arguments&... arguments) {
  using namespace nanobind::literals;
  const auto none = nanobind::none();
  m.def(name, function, arguments..., "stream"_a.none() = none, "launches"_a.none() = none);
}

// MetalLaunch, and MetalLaunches: the launches of one form of call.
inline void bind_launches(nanobind::module_& m) {
  nanobind::class_<MetalLaunch>(m, "MetalLaunch")
      .def("__init__", [](MetalLaunch* self, std::string kernel, std::array<int, 3> grid,
                          std::array<int, 3> threadgroup, const std::vector<std::vector<int>>& temporaries) {
        new (self) MetalLaunch{std::move(kernel), grid, threadgroup, {}};
        for (const auto& shape : temporaries) self->temporaries.emplace_back(shape.begin(), shape.end());
      });
  nanobind::class_<LaunchList>(m, "MetalLaunches")
      .def("__init__", [](LaunchList* self, std::vector<MetalLaunch> launches) {
        new (self) LaunchList{std::make_shared<const std::vector<MetalLaunch>>(std::move(launches))};
      });
}

}  // namespace voxtral
