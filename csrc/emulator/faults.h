// A kernel that crashes or never ends must not take the process with it: signals raised on a lane leave the kernel.
#pragma once
#include <condition_variable>
#include <mutex>
#include <thread>

namespace emulator {

// While it lives, a fault (bad address, illegal instruction, division by zero) on this thread inside a lane becomes a
// finding and abandons the launch, and a lane that runs longer than `seconds` in all is stopped.
class FaultGuard {
 public:
  explicit FaultGuard(double seconds);
  ~FaultGuard();
  FaultGuard(const FaultGuard&) = delete;
  FaultGuard& operator=(const FaultGuard&) = delete;

 private:
  void watch(double seconds);

  struct Saved;
  Saved* saved_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::thread watchdog_;
};

// In the child of a fork: the launch of the parent's other thread is not there; its signal handlers go.
void forget_launch();

}  // namespace emulator
