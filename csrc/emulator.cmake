# _emulator: runs compiled Metal kernels as fibers, with access checks. Knows nothing of MLX, hence pybind11.
# Linux, x86-64 and aarch64. On macOS arm64 it is compile-checked and has not run: there it is built when asked for.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  option(VOXTRAL_KERNELS_EMULATOR "Build the emulator's runtime" ON)
else()
  option(VOXTRAL_KERNELS_EMULATOR "Build the emulator's runtime" OFF)
endif()
# `make demo` does without; said anew each time, so that a later installation in the same tree has the whole.
if(VOXTRAL_KERNELS_DEMO)
  unset(VOXTRAL_KERNELS_DEMO CACHE)
  return()
endif()
if(NOT VOXTRAL_KERNELS_EMULATOR)
  return()
endif()

find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
find_package(pybind11 CONFIG REQUIRED)

# Fibers switch stacks under the compiler's feet: no interprocedural moves across a switch, so no link-time optimisation,
# which pybind11 would add; all else of the runtime is one unit, so that an access is checked without a call.
set(CMAKE_INTERPROCEDURAL_OPTIMIZATION OFF)
pybind11_add_module(_emulator
  csrc/emulator/bindings.cpp
  csrc/emulator/callbacks.cpp
  csrc/emulator/checks.cpp
  csrc/emulator/counters.cpp
  csrc/emulator/extent.cpp
  csrc/emulator/faults.cpp
  csrc/emulator/fiber.cpp
  csrc/emulator/grid.cpp
  csrc/emulator/library.cpp
  csrc/emulator/memory.cpp
  csrc/emulator/scheduler.cpp
  csrc/emulator/shuffles.cpp
  csrc/emulator/team.cpp)
# metal/abi.h, the interface with compiled kernels, lies beside the headers that kernels are compiled with.
target_include_directories(_emulator PRIVATE csrc csrc/emulator python/voxtral_kernels/emulator/include)
target_compile_options(_emulator PRIVATE -Wall -Wextra -fno-stack-protector)
# One pointer of each thread's own, read at every access: at a fixed place, where the loader has them.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  target_compile_options(_emulator PRIVATE -ftls-model=initial-exec)
endif()
set_target_properties(_emulator PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
set_source_files_properties(csrc/emulator/bindings.cpp csrc/emulator/fiber.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
# Called a few times for each launch, and the slowest to compile.
set_source_files_properties(csrc/emulator/bindings.cpp PROPERTIES COMPILE_OPTIONS -Os)
target_link_libraries(_emulator PRIVATE ${CMAKE_DL_LIBS})
install(TARGETS _emulator DESTINATION voxtral_kernels)
