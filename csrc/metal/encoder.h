// Binds the buffers of one kernel in the order of its signature and dispatches it; without Metal it refuses.
#pragma once

#include <vector>

#include "metal/launch.h"
#include "ops/primitive.h"

namespace voxtral {

class Encoder {
 public:
  // Compiles the launch's kernel at its first use.
  Encoder(mx::Stream stream, const MetalLaunch& launch);

  void input(const mx::array& a);
  void output(mx::array& a);
  void shape(const mx::array& a);
  void strides(const mx::array& a);
  void ints(const std::vector<int>& values);
  void number(float value);
  void dispatch();

  // A float32 array that lives until the stream is done with it.
  static mx::array temporary(mx::Stream stream, const mx::Shape& shape);

 private:
  void* encoder_;  // MLX's CommandEncoder, whose header needs Apple's
  const MetalLaunch& launch_;
  int next_ = 0;
};

}  // namespace voxtral
