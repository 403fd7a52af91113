// How a GPU serves a call: dispatch/<op>.py chooses it, one code for mx.fast.metal_kernel, the emulator and eval_gpu.
#pragma once

#include <array>
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

using MetalLaunches = std::vector<MetalLaunch>;

// Makes the Metal text known that holds the instance `kernel`; the first one stays.
void add_metal_source(const std::string& kernel, const std::string& text);

// The text that eval_gpu hands to MLX's device. Throws std::out_of_range for an unknown kernel.
std::string metal_source(const std::string& kernel);

// The launch at `index`; throws std::invalid_argument where the call came without one.
const MetalLaunch& launch_at(const char* op, const MetalLaunches& launches, std::size_t index);

}  // namespace voxtral
