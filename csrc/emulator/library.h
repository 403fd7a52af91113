// A compiled kernel, and a launch of it made ready.
#pragma once
#include <string>
#include <vector>

#include "launch.h"

namespace emulator {

// Its import table is filled by name, so that runtime and kernel cannot disagree about it.
class Library {
 public:
  explicit Library(const std::string& path);
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  void* symbol(const std::string& name) const;
  const Module& module() const { return module_; }

 private:
  Module module_;
};

// Parts of prepare: what an earlier launch left is gone; threadgroup memory that the host set.
void begin(Launch& launch, const Options& options, const Module& module, Entry entry);
void place_threadgroup_arguments(Launch& launch);

// Everything of `launch` but the run itself; what an earlier one left is gone.
void prepare(Launch& launch, const Library& library, const std::string& entry, const std::vector<BufferSpec>& buffers,
             const Options& options);

}  // namespace emulator
