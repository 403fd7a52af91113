#include "pool.h"

#include <cstdlib>
#include <memory>
#include <new>

#if defined(__linux__)
#  include <sched.h>
#endif

namespace voxtral::cpu {
namespace {

constexpr std::align_val_t kCacheLine{64};

// AddressSanitizer sees a use beyond a launch's scratch only where it is as long as the launch asked for.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kExactScratch = true;
#else
constexpr bool kExactScratch = false;
#endif

struct Free {
  void operator()(float* p) const { ::operator delete[](p, kCacheLine); }
};

float* thread_scratch(Index floats) {
  thread_local std::unique_ptr<float[], Free> scratch;
  thread_local Index capacity = 0;
  if (floats > capacity || (kExactScratch && floats != capacity)) {
    scratch.reset();
    capacity = 0;
    scratch.reset(static_cast<float*>(::operator new[](std::size_t(floats) * sizeof(float), kCacheLine)));
    capacity = floats;
  }
  return scratch.get();
}

// Read while the module loads, see launch.cpp.
const int asked_threads = [] {
  const char* wanted = std::getenv("VOXTRAL_KERNELS_THREADS");
  return wanted ? std::atoi(wanted) : 0;
}();

int default_threads() {
  if (asked_threads > 0) return asked_threads;
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return CPU_COUNT(&allowed);
#endif
  const unsigned cores = std::thread::hardware_concurrency();
  return cores ? int(cores) : 1;
}

}  // namespace

Pool::Pool(int threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
}

Pool::~Pool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
}

Pool& Pool::shared() {
  // Never destroyed: MLX's stream threads may still run while the process exits.
  static Pool* pool = new Pool(default_threads());
  return *pool;
}

void Pool::drain() {
  float* scratch = thread_scratch(scratch_floats_);
  for (Index i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) task_(context_, i, scratch);
}

void Pool::work() {
  std::uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stopping_ || launches_ != seen; });
    if (stopping_) return;
    seen = launches_;
    if (count_ == 0) continue;  // woken after the launch ended
    ++busy_;
    lock.unlock();
    drain();
    lock.lock();
    if (--busy_ == 0) done_.notify_one();
  }
}

void Pool::run(Task task, const void* context, Index count, Index scratch_floats) {
  std::unique_lock launch(launch_, std::defer_lock);
  if (count == 1 || workers_.empty() || !launch.try_lock()) {
    float* scratch = thread_scratch(scratch_floats);
    for (Index i = 0; i < count; ++i) task(context, i, scratch);
    return;
  }
  {
    std::lock_guard lock(mutex_);
    task_ = task;
    context_ = context;
    count_ = count;
    scratch_floats_ = scratch_floats;
    next_.store(0, std::memory_order_relaxed);
    ++launches_;
  }
  wake_.notify_all();
  drain();
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return busy_ == 0; });
  count_ = 0;
}

}  // namespace voxtral::cpu
