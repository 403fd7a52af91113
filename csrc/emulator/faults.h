// A kernel that crashes or never ends must not take the process with it: signals raised on a lane leave the kernel.
#pragma once
#include <pthread.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "launch.h"

namespace emulator {

// While it lives, a fault (bad address, illegal instruction, division by zero) inside a lane becomes a finding and
// abandons the lanes of its thread, and a launch that takes longer than `seconds` in all is stopped.
class FaultGuard {
 public:
  FaultGuard(Launch& launch, double seconds);
  ~FaultGuard();
  FaultGuard(const FaultGuard&) = delete;
  FaultGuard& operator=(const FaultGuard&) = delete;

  // A thread that runs lanes: has a stack for its signals, and is told when the time is over.
  class Thread {
   public:
    Thread(FaultGuard& guard, Launch& launch);
    ~Thread();
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;

   private:
    struct Saved;
    FaultGuard& guard_;
    Saved* saved_;
  };

 private:
  void watch(double seconds);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<pthread_t> threads_;
  bool over_ = false;
  std::thread watchdog_;
};

// In the child of a fork: the launch of the parent's other thread is not there; its signal handlers go.
void forget_launch();

}  // namespace emulator
