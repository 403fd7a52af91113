// The Python module: load a compiled kernel, launch it, read what was found. Python knows MLX; this does not.
#include <pthread.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "callbacks.h"
#include "counters.h"
#include "ending.h"
#include "faults.h"
#include "launch.h"
#include "library.h"
#include "shuffles.h"
#include "team.h"

namespace py = pybind11;

namespace emulator {

namespace {

struct Result {
  std::map<unsigned, py::bytes> outputs;
  std::vector<Finding> findings;
  std::vector<Finding> absent;  // shuffles that took from lanes that are not there
  uint64_t findings_total = 0;
  bool completed = false;
  bool used_atomics = false;  // on several threads, which is refused
  bool is_narrow = false;     // buffers stand so close that an index that wraps may lead from one to another
  py::dict counters;
};

py::dict traffic(const Region& region) {
  const Traffic& t = region.traffic;
  py::dict d;
  d["bytes_read"] = t.read_bytes;
  d["bytes_written"] = t.written_bytes;
  d["distinct_bytes_read"] = t.read.size();
  d["distinct_bytes_written"] = t.written.size();
  d["accesses"] = t.accesses;
  if (region.on_device()) {
    d["segments"] = t.segments;
    d["ideal_segments"] = t.ideal_segments;
  } else {
    d["bank_conflicts"] = t.bank_conflicts;
  }
  return d;
}

py::dict counters(Launch& l) {
  py::dict d, operations, buffers, variables;
  d["threads"] = l.totals.threads;
  d["threadgroups"] = l.totals.threadgroups;
  d["barriers"] = l.totals.barriers;
  d["steps"] = l.totals.steps;
  d["threadgroup_memory_bytes"] = l.totals.threadgroup_memory_bytes;
  for (size_t i = 0; i < MSL_OPERATION_COUNT; ++i) {
    if (l.totals.operations[i]) operations[operation_name(static_cast<unsigned>(i))] = l.totals.operations[i];
  }
  d["simd_operations"] = operations;
  if (l.counters) {
    for (unsigned slot = 0; slot < Memory::kSlots; ++slot) {
      const Region& region = l.memory[slot];
      if (!region.live) continue;
      (region.on_device() ? buffers : variables)[py::str(region.name)] = traffic(region);
    }
    d["buffers"] = buffers;
    d["threadgroup_memory"] = variables;
  }
  return d;
}

// Keeps its pages from launch to launch. Never destroyed: a daemon thread may be inside while the process exits.
Launch* kept_launch = nullptr;
auto* one_at_a_time = new std::mutex;

// A child of a process in which a launch runs has neither that launch nor the thread that would free the mutex.
void start_anew() {
  if (one_at_a_time->try_lock()) return one_at_a_time->unlock();
  one_at_a_time = new std::mutex;
  kept_launch = nullptr;
  forget_launch();
  forget_helpers();
}

Launch& the_launch() {
  if (!kept_launch) kept_launch = Launch::make().release();
  return *kept_launch;
}

// A buffer, and what holds its bytes until they are copied.
struct HeldBuffer {
  BufferSpec spec;
  py::object data;
};

Result launch_kernel(const Library& library, const std::string& entry, const std::vector<HeldBuffer>& held,
                     const Options& options) {
  std::vector<BufferSpec> buffers;
  for (const HeldBuffer& b : held) buffers.push_back(b.spec);
  Result result;
  std::unique_lock lock(*one_at_a_time, std::defer_lock);
  {
    py::gil_scoped_release release;
    lock.lock();
  }
  Launch& l = the_launch();
  {
    py::gil_scoped_release release;
    prepare(l, library, entry, buffers, options);
    const Outcome outcome = options.threads > 1 ? run_together(l) : Outcome::alone;
    result.used_atomics = outcome == Outcome::used_atomics;
    if (outcome == Outcome::alone) {
      Options one = options;
      one.threads = 1;
      if (options.threads > 1) prepare(l, library, entry, buffers, one);
      run(l);
    }
  }
  if (l.interrupted && PyErr_CheckSignals() != 0) throw py::error_already_set();
  result.findings = l.findings.list();
  result.absent = l.absent.list();
  result.findings_total = l.findings.total();
  result.completed = !l.failed;
  result.is_narrow = l.memory.spacing() == Spacing::narrow;
  result.counters = counters(l);
  for (const BufferSpec& b : buffers) {
    if (b.space == Space::output)
      result.outputs[b.index] = py::bytes(reinterpret_cast<const char*>(l.buffers[b.index]), b.size);
  }
  return result;
}

HeldBuffer make_buffer(unsigned index, std::string name, Space space, size_t size, unsigned granule, bool initialised,
                       const py::object& data, int shares, size_t shares_from) {
  if (shares >= static_cast<int>(Memory::kBuffers)) throw std::length_error("Metal has 31 buffers");
  BufferSpec spec{index, std::move(name), space, size, granule, initialised, nullptr, shares, shares_from};
  if (!data.is_none()) {
    const py::buffer_info info = py::buffer(data).request();
    // A view with strides reaches further than it has elements.
    size_t span = static_cast<size_t>(info.itemsize);
    for (py::ssize_t i = 0; i < info.ndim; ++i) span += static_cast<size_t>((info.shape[i] - 1) * info.strides[i]);
    if (size > 0 && span < size) throw std::invalid_argument("the data is smaller than the buffer");
    spec.data = info.ptr;
  }
  return {std::move(spec), data};
}

}  // namespace

}  // namespace emulator

PYBIND11_MODULE(_emulator, m) {
  voxtral::end_quietly();
  pthread_atfork(nullptr, nullptr, emulator::start_anew);
  using namespace emulator;
  m.doc() = "Runs compiled Metal kernels on the CPU. Use voxtral_kernels.emulator.";
  py::enum_<Mode>(m, "Mode")
      .value("plain", Mode::plain)
      .value("checked", Mode::checked)
      .value("counted", Mode::counted);
  py::enum_<Space>(m, "Space")
      .value("input", Space::input)
      .value("output", Space::output)
      .value("constant", Space::constant);
  py::class_<Finding>(m, "Finding")
      .def_readonly("kind", &Finding::kind)
      .def_readonly("detail", &Finding::detail)
      .def_readonly("pc", &Finding::pc)
      .def_readonly("buffer", &Finding::buffer)
      .def_property_readonly("offset",
                             [](const Finding& f) {
                               return f.offset == Finding::kNowhere ? std::nullopt : std::optional<int64_t>(f.offset);
                             })
      .def_readonly("lane", &Finding::lane)
      .def_property_readonly(
          "threadgroup",
          [](const Finding& f) { return py::make_tuple(f.threadgroup[0], f.threadgroup[1], f.threadgroup[2]); })
      .def_readonly("other_pc", &Finding::other_pc)
      .def_readonly("other_lane", &Finding::other_lane)
      .def_readonly("other_threadgroup", &Finding::other_threadgroup)
      .def_readonly("file", &Finding::file)
      .def_readonly("line", &Finding::line)
      .def_readonly("column", &Finding::column)
      .def_readonly("count", &Finding::count);
  py::class_<HeldBuffer>(m, "Buffer")
      .def(py::init(&make_buffer), py::arg("index"), py::arg("name"), py::arg("space"), py::arg("size"),
           py::arg("granule"), py::arg("initialised"), py::arg("data") = py::none(), py::arg("shares") = -1,
           py::arg("shares_from") = 0)
      .def("content", [](const HeldBuffer& b) {
        return py::bytes(static_cast<const char*>(b.spec.data), b.spec.data ? b.spec.size : 0);
      });
  py::class_<Options>(m, "Options")
      .def(py::init<>())
      .def_readwrite("mode", &Options::mode)
      .def_readwrite("grid", &Options::grid)
      .def_readwrite("threadgroup", &Options::threadgroup)
      .def_readwrite("seed", &Options::seed)
      .def_readwrite("threads", &Options::threads)
      .def_readwrite("step_limit", &Options::step_limit)
      .def_readwrite("seconds_limit", &Options::seconds_limit)
      .def_readwrite("threadgroup_arguments", &Options::threadgroup_arguments)
      .def_readwrite("variables", &Options::variables)
      .def_readwrite("absent_at", &Options::absent_at);
  py::class_<Result>(m, "Result")
      .def_readonly("outputs", &Result::outputs)
      .def_readonly("findings", &Result::findings)
      .def_readonly("absent", &Result::absent)
      .def_readonly("findings_total", &Result::findings_total)
      .def_readonly("completed", &Result::completed)
      .def_readonly("used_atomics", &Result::used_atomics)
      .def_readonly("is_narrow", &Result::is_narrow)
      .def_readonly("counters", &Result::counters);
  py::class_<Library>(m, "Library").def(py::init<const std::string&>(), py::arg("path"));
  m.def("launch", &launch_kernel, py::arg("library"), py::arg("entry"), py::arg("buffers"), py::arg("options"),
        "Runs one kernel over its grid. One launch at a time; the interpreter is free meanwhile.");
  m.attr("RESERVED_BYTES") = Memory::reserved_bytes(Spacing::wide);
  m.def("imports", [] {
    std::vector<std::string> names;
    for (const Export& e : exports()) names.emplace_back(e.name);
    return names;
  });
}
