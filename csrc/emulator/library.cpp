#include "library.h"

#include <dlfcn.h>

#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>

#include "callbacks.h"
#include "counters.h"
#include "extent.h"

namespace emulator {

Library::Library(const std::string& path) {
  module_.handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!module_.handle) throw std::runtime_error(dlerror());
  auto* table = static_cast<const void**>(symbol("msl_imports"));
  for (size_t i = 0; i < exports().size(); ++i) table[i] = exports()[i].address;
  find_extent(table, &module_);
}

Library::~Library() { dlclose(module_.handle); }

void* Library::symbol(const std::string& name) const {
  void* p = dlsym(module_.handle, name.c_str());
  if (!p) throw std::runtime_error("the compiled kernel has no symbol " + name);
  return p;
}

Launch::Launch(Spacing spacing) : memory(spacing) {}
Launch::~Launch() = default;

std::unique_ptr<Launch> Launch::make() {
  try {
    return std::make_unique<Launch>(Spacing::wide);
  } catch (const std::bad_alloc&) {
    return std::make_unique<Launch>(Spacing::narrow);
  }
}

namespace {

void place_buffers(Launch& l, const std::vector<BufferSpec>& buffers) {
  l.memory.clear();
  l.buffers.fill(nullptr);
  const bool checked = l.options.mode != Mode::plain;
  for (const BufferSpec& b : buffers) {
    if (b.index >= Memory::kBuffers) throw std::length_error("Metal has 31 buffers");
    if (b.shares >= 0) continue;
    Region& region = l.memory.place(b.index, b.name, b.space, b.size, b.granule);
    region.initialised = b.initialised;
    auto* to = reinterpret_cast<void*>(region.start);
    if (b.data)
      memcpy(to, b.data, b.size);
    else
      memset(to, 0xff, b.size);
    if (checked && b.space == Space::output) region.cells.reset((b.size + b.granule - 1) / b.granule);
    l.buffers[b.index] = to;
  }
  for (const BufferSpec& b : buffers) {
    if (b.shares < 0) continue;
    const Region& region = l.memory[static_cast<unsigned>(b.shares)];
    l.buffers[b.index] = reinterpret_cast<void*>(region.start + b.shares_from);
  }
  place_threadgroup_arguments(l);
}

}  // namespace

void place_threadgroup_arguments(Launch& l) {
  for (auto [index, size] : l.options.threadgroup_arguments) {
    Region& region = l.memory.place(Memory::kFirstArgument + index, "threadgroup(" + std::to_string(index) + ")",
                                    Space::threadgroup, size, 1);
    region.initialised = false;
    if (l.options.mode != Mode::plain) region.cells.reset(size);
    l.totals.threadgroup_memory_bytes += size;
  }
}

void begin(Launch& l, const Options& options, const Module& module, Entry entry) {
  l.findings.clear();
  l.options = options;
  l.module = module;
  l.totals = Totals{};
  l.counters = options.mode == Mode::counted ? std::make_unique<Counters>() : nullptr;
  l.entry = entry;
  l.failed = l.is_shared = l.used_atomics = l.has_refined = false;
  l.expired = false;
  l.interrupted = false;
  l.pending.clear();
  l.watch();
  l.early_reads.clear();
  l.absent.clear();
  l.releases.clear();
  l.slots.clear();
  l.next_slot = Memory::kFirstVariable;
}

void prepare(Launch& l, const Library& library, const std::string& entry, const std::vector<BufferSpec>& buffers,
             const Options& options) {
  begin(l, options, library.module(), reinterpret_cast<Entry>(library.symbol(entry)));
  place_buffers(l, buffers);
}

}  // namespace emulator
