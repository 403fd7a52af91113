#include "metal/encoder.h"

#include "mlx/allocator.h"
#include "mlx/backend/metal/device.h"

namespace voxtral {
namespace {

// Sizes are counted in threads, as in mx.fast.metal_kernel.
MTL::Size size_of(const std::array<int, 3>& n) { return MTL::Size(n[0], n[1], n[2]); }

mx::metal::CommandEncoder& of(void* encoder) { return *static_cast<mx::metal::CommandEncoder*>(encoder); }

}  // namespace

Encoder::Encoder(mx::Stream stream, const MetalLaunch& launch)
    : encoder_(&mx::metal::get_command_encoder(stream)), launch_(launch) {
  auto& device = mx::metal::device(stream.device);
  auto* library = device.get_library("voxtral_" + launch.kernel, [&] { return metal_source(launch.kernel); });
  of(encoder_).set_compute_pipeline_state(device.get_kernel(launch.kernel, library));
}

void Encoder::input(const mx::array& a) { of(encoder_).set_input_array(a, next_++); }
void Encoder::output(mx::array& a) { of(encoder_).set_output_array(a, next_++); }
void Encoder::shape(const mx::array& a) { of(encoder_).set_vector_bytes(a.shape(), int(a.ndim()), next_++); }
void Encoder::strides(const mx::array& a) { of(encoder_).set_vector_bytes(a.strides(), int(a.ndim()), next_++); }
void Encoder::ints(const std::vector<int>& values) { of(encoder_).set_vector_bytes(values, next_++); }
void Encoder::number(float value) { of(encoder_).set_bytes(value, next_++); }
void Encoder::dispatch() { of(encoder_).dispatch_threads(size_of(launch_.grid), size_of(launch_.threadgroup)); }

mx::array Encoder::temporary(mx::Stream stream, const mx::Shape& shape) {
  mx::array a(shape, mx::float32, nullptr, {});
  a.set_data(mx::allocator::malloc(a.nbytes()));
  mx::metal::get_command_encoder(stream).add_temporary(a);
  return a;
}

}  // namespace voxtral
