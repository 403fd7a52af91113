// A fork-join pool: run() hands the tasks of one launch to all threads and returns when every task is done.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "args.h"

namespace voxtral::cpu {

class Pool {
 public:
  using Task = void (*)(const void* context, Index task, float* scratch);

  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // As many threads as this process may run on, or VOXTRAL_KERNELS_THREADS.
  static Pool& shared();

  int threads() const { return int(workers_.size()) + 1; }

  // Calls task(context, i, scratch) once for each i in [0, count), on this thread and the workers; scratch has
  // `scratch_floats` floats, aligned to a cache line and private to the thread. Callable from several threads: one
  // launch has the workers, the others run alone.
  void run(Task task, const void* context, Index count, Index scratch_floats);

 private:
  void work();
  void drain();

  std::vector<std::thread> workers_;
  std::mutex launch_;  // held for the whole of a launch
  std::mutex mutex_;   // guards what follows, with wake_ and done_
  std::condition_variable wake_, done_;
  std::uint64_t launches_ = 0;
  int busy_ = 0;
  bool stopping_ = false;
  std::atomic<Index> next_{0};
  Task task_ = nullptr;
  const void* context_ = nullptr;
  Index count_ = 0, scratch_floats_ = 0;
};

}  // namespace voxtral::cpu
