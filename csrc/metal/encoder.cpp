#include "metal/encoder.h"

namespace voxtral {
namespace {

// Sizes are counted in threads, as in mx.fast.metal_kernel.
MTL::Size size_of(const std::array<int, 3>& n) { return MTL::Size(n[0], n[1], n[2]); }

}  // namespace

Encoder::Encoder(mx::Stream stream, const MetalLaunch& launch)
    : encoder_(mx::metal::get_command_encoder(stream)), launch_(launch) {
  auto& device = mx::metal::device(stream.device);
  auto* library = device.get_library("voxtral_" + launch.kernel, [&] { return metal_source(launch.kernel); });
  encoder_.set_compute_pipeline_state(device.get_kernel(launch.kernel, library));
}

void Encoder::dispatch() { encoder_.dispatch_threads(size_of(launch_.grid), size_of(launch_.threadgroup)); }

const MetalLaunch& launch_at(const char* op, const MetalLaunches& launches, std::size_t index) {
  require(index < launches.size(), op, "stream: expected launches for a call on a GPU.");
  return launches[index];
}

}  // namespace voxtral
