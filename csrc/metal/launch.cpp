#include "metal/launch.h"

#include <mutex>
#include <stdexcept>
#include <unordered_map>

namespace voxtral {
namespace {

std::mutex mutex;

std::unordered_map<std::string, std::string>& sources() {
  // Never destroyed: MLX's stream threads may still launch while the process exits.
  static auto& map = *new std::unordered_map<std::string, std::string>;
  return map;
}

}  // namespace

void add_metal_source(const std::string& kernel, const std::string& text) {
  std::lock_guard lock(mutex);
  sources().emplace(kernel, text);
}

std::string metal_source(const std::string& kernel) {
  std::lock_guard lock(mutex);
  return sources().at(kernel);
}

const MetalLaunch& launch_at(const char* op, const MetalLaunches& launches, std::size_t index) {
  if (launches && index < launches->size()) return (*launches)[index];
  throw std::invalid_argument("[" + std::string(op) + "] stream: expected launches for a call on a GPU.");
}

}  // namespace voxtral
