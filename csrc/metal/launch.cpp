#include "metal/launch.h"

#include <mutex>
#include <unordered_map>

namespace voxtral {
namespace {

std::mutex mutex;

std::unordered_map<std::string, std::string>& sources() {
  static std::unordered_map<std::string, std::string> map;
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

}  // namespace voxtral
