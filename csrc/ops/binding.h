// How the module finds its functions: each op binds its own where it is defined, bindings.cpp makes them all.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <vector>

namespace voxtral {

using Bind = void (*)(nanobind::module_&);

inline std::vector<Bind>& bindings() {
  static std::vector<Bind> all;
  return all;
}

struct Binding {
  explicit Binding(Bind bind) { bindings().push_back(bind); }
};

}  // namespace voxtral
