#include "faults.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>
#if defined(__APPLE__)
#  include <sys/ucontext.h>
#else
#  include <ucontext.h>
#endif

#include "checks.h"
#include "launch.h"

namespace emulator {

namespace {

constexpr std::array<int, 7> kSignals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGVTALRM, SIGINT};
constexpr int kWatchdogSignal = SIGVTALRM;

Launch* volatile guarded = nullptr;  // the launch as a whole, whatever threads run it
volatile bool due = false;           // the watchdog wants it to end

const void* interrupted_pc(void* context) {
  auto* c = static_cast<ucontext_t*>(context);
#if defined(__APPLE__) && defined(__aarch64__)
  return reinterpret_cast<void*>(c->uc_mcontext->__ss.__pc);
#elif defined(__APPLE__)
  return reinterpret_cast<void*>(c->uc_mcontext->__ss.__rip);
#elif defined(__aarch64__)
  return reinterpret_cast<void*>(c->uc_mcontext.pc);
#else
  return reinterpret_cast<void*>(c->uc_mcontext.gregs[REG_RIP]);
#endif
}

void leave(int signal, const char* kind, std::string detail, const void* pc) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  // A finding's pc points behind a call; a fault's points at the instruction itself.
  const void* after = static_cast<const char*>(pc) + 1;
  launch->findings.add(launch->finding(kind, std::move(detail), after));
  launch->abandon();
}

void describe_fault(int signal, const siginfo_t* info, const void* pc) {
  const Launch& l = *launch;
  if (signal == SIGFPE) return leave(signal, "division-by-zero", kDivision, pc);
  if (signal == SIGTRAP) return leave(signal, "crash", "a trap was reached", pc);
  if (signal == SIGILL) return leave(signal, "crash", "undefined behaviour was reached", pc);
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  const auto stack = reinterpret_cast<uintptr_t>(l.current->stack);
  if (address >= stack - page_bytes() && address < stack) {
    return leave(signal, "stack-overflow", "private memory of a lane exceeds 256 KiB", pc);
  }
  if (const Region* region = launch->memory.left_by(address, 0)) {
    Finding f = l.finding("out-of-bounds", "an unmapped address beside the buffer", static_cast<const char*>(pc) + 1);
    f.buffer = region->name;
    f.offset = static_cast<int64_t>(address - region->start);
    launch->findings.add(std::move(f));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    launch->abandon();
  }
#if defined(__linux__)
  // x86 names no address where it is not canonical or a vector is misaligned.
  if (info->si_code == SI_KERNEL) {
    return leave(signal, "wild-pointer", "access that is in no buffer, or misaligned vector", pc);
  }
#endif
  const Astray astray = where_astray(address);
  leave(signal, astray.kind, "access " + astray.where, pc);
}

struct sigaction previous_actions[kSignals.size()];

// What the process itself does at a signal, as if the launch were not.
void pass_on(int signal, siginfo_t* info, void* context) {
  for (size_t i = 0; i < kSignals.size(); ++i) {
    const struct sigaction& previous = previous_actions[i];
    if (kSignals[i] != signal) continue;
    if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(signal, info, context);
    if (previous.sa_handler == SIG_IGN) return;
    if (previous.sa_handler != SIG_DFL) return previous.sa_handler(signal);
    sigaction(signal, &previous, nullptr);
    raise(signal);
  }
}

void handle(int signal, siginfo_t* info, void* context) {
  const bool ours = launch != nullptr && launch->current != nullptr;  // of this thread
  const void* pc = interrupted_pc(context);
  if (signal == SIGINT) {
    if (guarded != nullptr) {
      guarded->interrupted = true;
      due = true;
    }
    return pass_on(signal, info, context);
  }
  if (signal == kWatchdogSignal) {
    if (!due) return pass_on(signal, info, context);  // a timer of the process's own
    if (!ours) return;
    launch->expired = true;
    launch->unwatched_steps = 0;
    launch->interrupted = guarded->interrupted;
    // Inside the runtime it may hold locks; there the next access or rendezvous sees `expired`.
    if (launch->relative(pc) >= 0) leave(signal, "step-limit", launch->why_stopped(), pc);
    return;
  }
  if (ours) return describe_fault(signal, info, pc);
  for (size_t i = 0; i < kSignals.size(); ++i) {  // not ours: as if we had never been here
    if (kSignals[i] == signal) sigaction(signal, &previous_actions[i], nullptr);
  }
}

}  // namespace

struct FaultGuard::Thread::Saved {
  stack_t stack{};
  std::vector<char> memory;
};

FaultGuard::Thread::Thread(FaultGuard& guard, Launch& l) : guard_(guard), saved_(new Saved) {
  saved_->memory.resize(size_t(64) << 10);
  stack_t own{};
  own.ss_sp = saved_->memory.data();
  own.ss_size = saved_->memory.size();
  sigaltstack(&own, &saved_->stack);
  std::lock_guard lock(guard_.mutex_);
  guard_.threads_.push_back(pthread_self());
  if (due) l.expired = true, l.watch();  // one that starts late
}

FaultGuard::Thread::~Thread() {
  {
    std::lock_guard lock(guard_.mutex_);
    std::erase_if(guard_.threads_, [](pthread_t t) { return pthread_equal(t, pthread_self()) != 0; });
  }
  if (saved_->stack.ss_flags & SS_DISABLE || saved_->stack.ss_sp == nullptr) saved_->stack.ss_flags = SS_DISABLE;
  sigaltstack(&saved_->stack, nullptr);
  delete saved_;
}

FaultGuard::FaultGuard(Launch& l, double seconds) {
  struct sigaction action{};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  due = false;
  guarded = &l;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &previous_actions[i]);
  watchdog_ = std::thread([this, seconds] { watch(seconds); });
}

FaultGuard::~FaultGuard() {
  {
    std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_all();
  watchdog_.join();
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous_actions[i], nullptr);
  guarded = nullptr;
}

void FaultGuard::watch(double seconds) {
  std::unique_lock lock(mutex_);
  const auto start = std::chrono::steady_clock::now();
  while (!wake_.wait_for(lock, std::chrono::milliseconds(20), [this] { return over_; })) {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    if (seconds > 0 && passed.count() >= seconds) due = true;
    if (!due) continue;
    for (pthread_t thread : threads_) pthread_kill(thread, kWatchdogSignal);
  }
}

void forget_launch() {
  if (guarded == nullptr) return;
  guarded = nullptr;
  launch = nullptr;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous_actions[i], nullptr);
}

}  // namespace emulator
