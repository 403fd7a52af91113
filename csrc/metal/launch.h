// How a GPU serves a call: dispatch/<op>.py chooses it, one code for mx.fast.metal_kernel, the emulator and eval_gpu.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "mlx/array.h"

namespace voxtral {

struct MetalLaunch {
  std::string kernel;                         // host_name in the text of the same name, see add_metal_source
  std::array<int, 3> grid, threadgroup;       // threads
  std::vector<mlx::core::Shape> temporaries;  // float32 outputs that a following launch reads

  bool operator==(const MetalLaunch&) const = default;
};

#if defined(__APPLE__)
constexpr bool kHasMetal = true;
#else
constexpr bool kHasMetal = false;
#endif

// Made once for a form of call and shared by all its calls; null on a CPU.
using MetalLaunches = std::shared_ptr<const std::vector<MetalLaunch>>;

// What Python holds of them. By value: MLX may drop a primitive in a thread that must not wait for the interpreter.
struct LaunchList {
  MetalLaunches launches;
};

inline MetalLaunches launches_of(const LaunchList* list) { return list ? list->launches : nullptr; }

// Makes the Metal text known that holds the instance `kernel`; the first one stays.
void add_metal_source(const std::string& kernel, const std::string& text);

// The text that eval_gpu hands to MLX's device. Throws std::out_of_range for an unknown kernel.
std::string metal_source(const std::string& kernel);

// The launch at `index`; throws std::invalid_argument where the call came without one.
const MetalLaunch& launch_at(const char* op, const MetalLaunches& launches, std::size_t index);

}  // namespace voxtral
