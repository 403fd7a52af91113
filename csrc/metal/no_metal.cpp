// The encoder of builds without Metal.
#include <stdexcept>

#include "metal/encoder.h"

namespace voxtral {
namespace {

[[noreturn]] void no_metal() { throw std::runtime_error("[native] stream: expected a CPU stream, got one of a GPU."); }

}  // namespace

Encoder::Encoder(mx::Stream, const MetalLaunch& launch) : encoder_(nullptr), launch_(launch) { no_metal(); }
void Encoder::input(const mx::array&) { no_metal(); }
void Encoder::output(mx::array&) { no_metal(); }
void Encoder::shape(const mx::array&) { no_metal(); }
void Encoder::strides(const mx::array&) { no_metal(); }
void Encoder::ints(const std::vector<int>&) { no_metal(); }
void Encoder::number(float) { no_metal(); }
void Encoder::dispatch() { no_metal(); }
mx::array Encoder::temporary(mx::Stream, const mx::Shape&) { no_metal(); }

}  // namespace voxtral
