// What eval_gpu uses of MLX's Metal device, as a recorder: a dispatch hands the bound buffers to `dispatched`.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "mlx/array.h"

namespace MTL {

struct Size {
  Size(std::size_t width, std::size_t height, std::size_t depth) : width(width), height(height), depth(depth) {}
  std::size_t width, height, depth;
};
struct Library {
  std::string text;
};
struct ComputePipelineState {
  std::string name;
  const Library* library;
};

}  // namespace MTL

namespace mlx::core::metal {

struct Bound {
  std::string bytes;
  char* output = nullptr;
};
using Dispatched = std::function<void(const MTL::ComputePipelineState&, std::map<int, Bound>&, MTL::Size, MTL::Size)>;

class CommandEncoder {
 public:
  Dispatched dispatched;

  void set_compute_pipeline_state(MTL::ComputePipelineState* kernel) { kernel_ = kernel; }
  void set_input_array(const array& a, int index, std::int64_t = 0) {
    bound_[index] = {std::string(a.data<char>(), a.data_size() * a.itemsize()), nullptr};
  }
  void set_output_array(array& a, int index, std::int64_t = 0) {
    bound_[index] = {std::string(a.data<char>(), a.data_size() * a.itemsize()), a.data<char>()};
  }
  template <class V>
  void set_vector_bytes(const V& values, int index) {
    set_vector_bytes(values, int(values.size()), index);
  }
  template <class V>
  void set_vector_bytes(const V& values, std::size_t n, int index) {
    bound_[index] = {std::string(reinterpret_cast<const char*>(values.data()), n * sizeof(values.data()[0])), nullptr};
  }
  template <class T>
  void set_bytes(const T& value, int index) {
    bound_[index] = {std::string(reinterpret_cast<const char*>(&value), sizeof value), nullptr};
  }
  void add_temporary(array a) { temporaries_.push_back(std::move(a)); }
  void dispatch_threads(MTL::Size grid, MTL::Size threadgroup) {
    dispatched(*kernel_, bound_, grid, threadgroup);
    bound_.clear();
  }

 private:
  MTL::ComputePipelineState* kernel_ = nullptr;
  std::map<int, Bound> bound_;
  std::vector<array> temporaries_;
};

class Device {
 public:
  MTL::Library* get_library(const std::string& name, const std::function<std::string()>& text) {
    return &libraries_.try_emplace(name, MTL::Library{text()}).first->second;
  }
  MTL::ComputePipelineState* get_kernel(const std::string& name, MTL::Library* library) {
    return &kernels_.try_emplace(name, MTL::ComputePipelineState{name, library}).first->second;
  }

 private:
  std::map<std::string, MTL::Library> libraries_;
  std::map<std::string, MTL::ComputePipelineState> kernels_;
};

inline Device& device(mlx::core::Device) {
  static Device it;
  return it;
}
inline CommandEncoder& get_command_encoder(Stream) {
  static CommandEncoder it;
  return it;
}

}  // namespace mlx::core::metal
