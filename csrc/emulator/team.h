// A launch whose threadgroups run on several threads at once.
#pragma once
#include "launch.h"

namespace emulator {

enum class Outcome {
  done,          // the result is what one thread would have
  alone,         // something was found, or threadgroups touched the same bytes: one thread has to say what
  used_atomics,  // in device memory, which threadgroups share: it cannot run so
};

// Runs a launch that is prepared for `options.threads`, on as many threads, this one among them.
Outcome run_together(Launch& launch);

// In the child of a fork: the threads of the parent's launch are not there.
void forget_helpers();

}  // namespace emulator
