// eval_gpu of builds without Metal.
#include <stdexcept>

#include "ops/ada_rms_norm.h"
#include "ops/causal_conv1d_gelu.h"
#include "ops/sliding_window_attention.h"

namespace voxtral {
namespace {

[[noreturn]] void no_metal() { throw std::runtime_error("[native] stream: expected a CPU stream, got one of a GPU."); }

}  // namespace

void AdaRmsNorm::eval_gpu(const Arrays&, Arrays&) { no_metal(); }
void CausalConv1dGelu::eval_gpu(const Arrays&, Arrays&) { no_metal(); }
void SlidingWindowAttention::eval_gpu(const Arrays&, Arrays&) { no_metal(); }
void RingCommit::eval_gpu(const Arrays&, Arrays&) { no_metal(); }

}  // namespace voxtral
