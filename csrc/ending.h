// How a daemon thread ends that is inside of native code while the interpreter ends.
//
// Before 3.14 Python unwinds a thread that asks for the GIL then, and the process aborts where a destructor asks
// (gil_scoped_release, MLX's and pybind11's alike: "terminate called without an active exception"). Such a thread
// sleeps instead, as 3.14 lets it, and the process ends with its own status. macOS unwinds no C++ frame.
#pragma once

#include <Python.h>

#if defined(__linux__)
#  include <sys/syscall.h>
#  include <unistd.h>

#  include <exception>
#endif

namespace voxtral {

#if defined(__linux__) && PY_VERSION_HEX < 0x030E0000

inline std::terminate_handler& handler_before() {
  static std::terminate_handler handler = nullptr;
  return handler;
}

inline bool interpreter_ends() {
#  if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing();
#  else
  return _Py_IsFinalizing();
#  endif
}

inline void end_quietly() {
  handler_before() = std::set_terminate([] {
    const bool main_thread = syscall(SYS_gettid) == getpid();
    if (interpreter_ends() && !main_thread && !std::current_exception()) {
      for (;;) pause();
    }
    handler_before()();
  });
}

#else

inline void end_quietly() {}

#endif

}  // namespace voxtral
