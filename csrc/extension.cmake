# voxtral_kernels._ext: the ops as MLX primitives, with native CPU kernels and, on macOS, Metal.

find_package(Python 3.11 COMPONENTS Interpreter Development.Module REQUIRED)
# mlx.core is not built for the stable ABI: a module that is would live in another type universe.
execute_process(COMMAND "${Python_EXECUTABLE}" -m nanobind --cmake_dir OUTPUT_STRIP_TRAILING_WHITESPACE
                OUTPUT_VARIABLE nanobind_ROOT COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${Python_EXECUTABLE}" -m mlx --cmake-dir OUTPUT_STRIP_TRAILING_WHITESPACE
                OUTPUT_VARIABLE MLX_ROOT COMMAND_ERROR_IS_FATAL ANY)
find_package(nanobind CONFIG REQUIRED)
find_package(MLX CONFIG REQUIRED)

# An op is found by its files. CPU kernels, which an op may lack at first, are sources of their own kind: see below.
file(GLOB sources CONFIGURE_DEPENDS csrc/bindings.cpp csrc/cpu/launch.cpp csrc/cpu/pool.cpp csrc/metal/*.cpp csrc/ops/*.cpp)
file(GLOB kernels CONFIGURE_DEPENDS csrc/cpu/*.cpp)
list(FILTER kernels EXCLUDE REGEX "/(launch|pool)\\.cpp$")
if(APPLE)
  list(FILTER sources EXCLUDE REGEX "/no_metal\\.cpp$")
else()
  list(FILTER sources EXCLUDE REGEX "/metal/encoder\\.cpp$")
endif()

# NB_DOMAIN: the types of mlx.core are registered there. NOMINSIZE: calls are short, so their overhead counts.
nanobind_add_module(_ext NB_STATIC NOMINSIZE NB_DOMAIN mlx ${sources})
target_include_directories(_ext PRIVATE csrc)
target_link_libraries(_ext PRIVATE mlx)
# What takes the time is reading MLX's and nanobind's headers: once for all ops, and nanobind's own sources as one.
target_precompile_headers(_ext PRIVATE csrc/ops/binding.h csrc/ops/primitive.h
                          <mlx/allocator.h> <mlx/backend/cpu/encoder.h> <mlx/ops.h>)
set_target_properties(nanobind-static PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)

# Each kernel source once per instruction set; launch.cpp chooses when the module is loaded.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND NOT CMAKE_OSX_ARCHITECTURES MATCHES "arm64")
  set(flags_v2 -march=x86-64-v2)
  set(flags_v3 -march=x86-64-v3)
  set(flags_v4 -march=x86-64-v4 -mprefer-vector-width=512)
  set(flags_v4bf16 ${flags_v4} -mavx512bf16)
  set(feature_v3 avx2)
  set(feature_v4 avx512f)
  set(feature_v4bf16 avx512bf16)
  set(isas v2 v3 v4 v4bf16)
else()
  set(isas neon)
endif()
# To optimise them takes most of the build. A development build (an editable installation: pyproject.toml) does it for
# what the building machine runs; the other sets are there and right, but slow, and extension.py does not choose them.
option(VOXTRAL_OPTIMISE_FOR_THIS_MACHINE "Leave instruction sets that this machine lacks unoptimised" OFF)
set(optimised ${isas})
foreach(isa IN LISTS isas)
  set(optimisation -O3)
  if(VOXTRAL_OPTIMISE_FOR_THIS_MACHINE AND feature_${isa} AND NOT CMAKE_CROSSCOMPILING)
    try_run(lacks_${isa} compiles_${isa} SOURCE_FROM_CONTENT ${isa}.cpp
            "int main() { __builtin_cpu_init(); return !__builtin_cpu_supports(\"${feature_${isa}}\"); }")
    if(compiles_${isa} AND lacks_${isa})
      set(optimisation -O0)
      list(REMOVE_ITEM optimised ${isa})
    endif()
  endif()
  add_library(kernels_${isa} OBJECT ${kernels})
  target_compile_definitions(kernels_${isa} PRIVATE VOXTRAL_ISA=${isa})
  target_compile_options(kernels_${isa} PRIVATE ${flags_${isa}} ${optimisation} -ffp-contract=fast -fno-math-errno
                                                -fno-trapping-math -fvisibility=hidden)
  target_sources(_ext PRIVATE $<TARGET_OBJECTS:kernels_${isa}>)
endforeach()

set_target_properties(_ext PROPERTIES BUILD_WITH_INSTALL_RPATH ON
                                      INSTALL_RPATH "$<IF:$<BOOL:${APPLE}>,@loader_path,$ORIGIN>/../mlx/lib")
# MLX's C++ interface has no stable ABI: backends/extension.py loads the module only with the MLX it was built against.
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/_ext_mlx_version.txt" "${MLX_VERSION}\n")
install(TARGETS _ext LIBRARY DESTINATION voxtral_kernels)
list(JOIN optimised "\n" lines)
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/_ext_optimised.txt" "${lines}\n")
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/_ext_mlx_version.txt" "${CMAKE_CURRENT_BINARY_DIR}/_ext_optimised.txt"
        DESTINATION voxtral_kernels)
