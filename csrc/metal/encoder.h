// Binds the buffers of one kernel in the order of its signature and dispatches it.
#pragma once

#include <vector>

#include "metal/launch.h"
#include "mlx/backend/metal/device.h"
#include "ops/primitive.h"

namespace voxtral {

class Encoder {
 public:
  // Compiles the launch's kernel at its first use.
  Encoder(mx::Stream stream, const MetalLaunch& launch);

  void input(const mx::array& a) { encoder_.set_input_array(a, next_++); }
  void output(mx::array& a) { encoder_.set_output_array(a, next_++); }
  void shape(const mx::array& a) { encoder_.set_vector_bytes(a.shape(), int(a.ndim()), next_++); }
  void strides(const mx::array& a) { encoder_.set_vector_bytes(a.strides(), int(a.ndim()), next_++); }
  void ints(const std::vector<int>& values) { encoder_.set_vector_bytes(values, next_++); }
  void number(float value) { encoder_.set_bytes(value, next_++); }
  void dispatch();

 private:
  mx::metal::CommandEncoder& encoder_;
  const MetalLaunch& launch_;
  int next_ = 0;
};

// The launch at `index`; throws std::invalid_argument where the call came without one.
const MetalLaunch& launch_at(const char* op, const MetalLaunches& launches, std::size_t index);

}  // namespace voxtral
