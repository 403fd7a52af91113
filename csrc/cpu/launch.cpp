#include "launch.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "kernels.h"
#include "pool.h"

namespace voxtral::cpu {
namespace {

#define VOXTRAL_TABLE(op, Args, isa) , &op##_##isa
#define VOXTRAL_KERNELS(isa, lanes) \
  Kernels { #isa, lanes VOXTRAL_OPS(VOXTRAL_TABLE, isa) }

// Best first. Never destroyed: MLX's stream threads may still launch while the process exits.
const std::vector<Kernels>& supported() {
  static const std::vector<Kernels>& list = *[] {
    auto* all = new std::vector<Kernels>;
    auto& found = *all;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
                    __builtin_cpu_supports("f16c");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    if (v4 && __builtin_cpu_supports("avx512bf16")) found.push_back(VOXTRAL_KERNELS(v4bf16, 16));
    if (v4) found.push_back(VOXTRAL_KERNELS(v4, 16));
    if (v3) found.push_back(VOXTRAL_KERNELS(v3, 8));
    found.push_back(VOXTRAL_KERNELS(v2, 4));
#else
    found.push_back(VOXTRAL_KERNELS(neon, 4));
#endif
    return all;
  }();
  return list;
}

const Kernels& find(const std::string& name) {
  for (const Kernels& kernels : supported()) {
    if (name == kernels.isa) return kernels;
  }
  std::string names;
  for (const Kernels& kernels : supported()) names += (names.empty() ? "" : ", ") + std::string(kernels.isa);
  throw std::invalid_argument("[native] isa: expected one of " + names + ", got " + name + ".");
}

// The environment is read while the module loads: a stream's thread that reads it later would race with the program's
// own changes of it.
const std::string asked_isa = [] {
  const char* name = std::getenv("VOXTRAL_KERNELS_ISA");
  return std::string(name ? name : "");
}();

std::atomic<const Kernels*>& current() {
  static std::atomic<const Kernels*> chosen = asked_isa.empty() ? &supported().front() : &find(asked_isa);
  return chosen;
}

// A launch with less than this many multiply-adds is not worth waking a thread for.
constexpr Index kMinimumWork = 1 << 18;

template <class Args>
struct Call {
  const Kernel<Args>& kernel;
  Args args;

  void run() {
    const Index work = kernel.work(args);
    if (work == 0) return;
    const Index threads = work < kMinimumWork ? 1 : Pool::shared().threads();
    const Tasks tasks = kernel.cut(args, threads);
    const auto one = [](const void* context, Index i, float* scratch) {
      const auto& self = *static_cast<const Call*>(context);
      self.kernel.task(self.args, i, scratch);
    };
    if (threads == 1) {  // one task after the other, without waking anybody
      const auto all = [](const void* context, Index, float* scratch) {
        const auto& [self, count] = *static_cast<const std::pair<const Call*, Index>*>(context);
        for (Index i = 0; i < count; ++i) self->kernel.task(self->args, i, scratch);
      };
      const std::pair<const Call*, Index> whole(this, tasks.count);
      return Pool::shared().run(all, &whole, 1, tasks.scratch);
    }
    Pool::shared().run(one, this, tasks.count, tasks.scratch);
  }
};

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Kernels& kernels : supported()) names.emplace_back(kernels.isa);
  return names;
}

std::string isa() { return current().load()->isa; }

Index lanes() { return current().load()->lanes; }

void use_isa(const std::string& name) { current().store(&find(name)); }

#define VOXTRAL_LAUNCH(op, Args, isa) \
  void launch(Args args) { Call<Args>{*current().load()->op, args}.run(); }
VOXTRAL_OPS(VOXTRAL_LAUNCH, )
#undef VOXTRAL_LAUNCH

}  // namespace voxtral::cpu
