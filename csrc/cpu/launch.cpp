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

#define VOXTRAL_KERNELS(isa, lanes) \
  Kernels { #isa, lanes, ada_rms_norm_##isa, causal_conv1d_gelu_##isa, sliding_window_attention_##isa }

// Best first.
const std::vector<Kernels>& supported() {
  static const std::vector<Kernels> list = [] {
    std::vector<Kernels> found;
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
    return found;
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

std::atomic<const Kernels*>& current() {
  static std::atomic<const Kernels*> chosen = [] {
    const char* name = std::getenv("VOXTRAL_KERNELS_ISA");
    return name && *name ? &find(name) : &supported().front();
  }();
  return chosen;
}

Index divide_up(Index n, Index step) { return (n + step - 1) / step; }
Index round_up(Index n, Index step) { return divide_up(n, step) * step; }

// A launch with less than this many multiply-adds is not worth waking a thread for.
constexpr Index kMinimumWork = 1 << 18;

Index threads_for(Index work) { return work < kMinimumWork ? 1 : Pool::shared().threads(); }

template <class Args>
struct Launch {
  void (*kernel)(const Args&, Index, float*);
  Args args;

  void run(Index tasks, Index scratch_floats, Index threads) const {
    const auto task = [](const void* context, Index i, float* scratch) {
      const auto& self = *static_cast<const Launch*>(context);
      self.kernel(self.args, i, scratch);
    };
    if (threads == 1) {  // one task after the other, without waking anybody
      const auto all = [](const void* context, Index, float* scratch) {
        const auto& [self, count] = *static_cast<const std::pair<const Launch*, Index>*>(context);
        for (Index i = 0; i < count; ++i) self->kernel(self->args, i, scratch);
      };
      const std::pair<const Launch*, Index> whole(this, tasks);
      return Pool::shared().run(all, &whole, 1, scratch_floats);
    }
    Pool::shared().run(task, this, tasks, scratch_floats);
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

void launch(AdaRmsNormArgs args) {
  if (args.rows * args.dim == 0) return;
  const Kernels& kernels = *current().load();
  const Index threads = threads_for(args.rows * args.dim);
  args.rows_per_task = threads == 1 ? args.rows : divide_up(args.rows, 4 * threads);
  const Launch<AdaRmsNormArgs> launch{kernels.ada_rms_norm, args};
  launch.run(divide_up(args.rows, args.rows_per_task), args.dim, threads);
}

void launch(CausalConv1dGeluArgs args) {
  if (args.batch * args.out_length * args.out_channels == 0) return;
  const Kernels& kernels = *current().load();
  const Index length = args.kernel * args.in_channels;
  const Index threads = threads_for(args.batch * args.out_length * args.out_channels * length);
  constexpr Index kFrames = 128;  // the block's packed input and sums stay in the second cache
  args.frames_per_task = std::min(args.out_length, kFrames);
  const Index frame_tasks = args.batch * divide_up(args.out_length, args.frames_per_task);
  // Channels are cut only as far as the threads need it: each cut packs the input again.
  const Index cuts = frame_tasks % threads == 0 ? 1 : 4 * threads;
  args.channels_per_task = round_up(divide_up(args.out_channels, cuts), 16);
  const Index few = args.frames_per_task * (round_up(length, 16) + 16);
  const Index row = round_up(args.frames_per_task, 32);
  const Index many = (row + 8) * 256 + round_up(args.channels_per_task, 16) * row;
  const Launch<CausalConv1dGeluArgs> launch{kernels.causal_conv1d_gelu, args};
  launch.run(frame_tasks * divide_up(args.out_channels, args.channels_per_task),
             args.out_length <= kernels.lanes / 2 ? few : std::max(few * (args.out_length % kFrames <= 8), many),
             threads);
}

void launch(SlidingWindowAttentionArgs args) {
  const Index group = args.heads / std::max<Index>(args.kv_heads, 1), rows = args.queries * group;
  if (args.batch * args.heads * rows * args.dim == 0) return;
  const Kernels& kernels = *current().load();
  const Index keys = std::min(args.window + args.queries - 1, args.ring_end + args.tail);
  const Index threads = threads_for(args.batch * args.kv_heads * rows * keys * args.dim);
  constexpr Index kRows = 64;
  const Index heads = args.batch * args.kv_heads;
  Index blocks = divide_up(rows, kRows);
  if (threads > 1 && heads % threads != 0) blocks = std::max(blocks, std::min(divide_up(rows, kernels.lanes), threads));
  args.rows_per_task = round_up(divide_up(rows, blocks), std::min(rows, kernels.lanes));
  const Index padded = round_up(args.rows_per_task, kernels.lanes), width = round_up(args.dim, kernels.lanes);
  const Index scratch = 2 * padded * width + 64 * padded + 2 * 64 * width + 5 * padded;
  const Launch<SlidingWindowAttentionArgs> launch{kernels.sliding_window_attention, args};
  launch.run(heads * divide_up(rows, args.rows_per_task), scratch, threads);
}

void launch(const RingCommitArgs& args) {
  const Index skipped = std::max<Index>(0, args.count - args.capacity);  // overwritten by what follows them
  for (Index h = 0; h < 2 * args.heads; ++h) {
    const bool values = h >= args.heads;
    const Index head = values ? h - args.heads : h, batch = head / args.kv_heads, kv_head = head % args.kv_heads;
    const char* from = values ? args.v + batch * args.v_batch + kv_head * args.v_head
                              : args.k + batch * args.k_batch + kv_head * args.k_head;
    const Index from_row = values ? args.v_row : args.k_row;
    char* to = args.ring + h * args.capacity * args.row_bytes;
    for (Index i = skipped; i < args.count; ++i) {
      const Index slot = (args.start + i) % args.capacity;
      std::memcpy(to + slot * args.row_bytes, from + i * from_row, std::size_t(args.row_bytes));
    }
  }
}

}  // namespace voxtral::cpu
