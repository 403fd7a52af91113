// The Metal standard library for the host's compiler, which reads it as C++ for OpenCL 2021: the one C++ dialect of
// clang whose address spaces qualify methods, take part in overloading and lower to plain pointers on a CPU.
#pragma once
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#pragma OPENCL EXTENSION __cl_clang_function_pointers : enable

#include "metal/keywords.h"
#include "metal/abi.h"
#include "metal/conversions.h"
#include "metal/type_traits.h"
#include "metal/limits.h"
#include "metal/types.h"
#include "metal/braces.h"
#include "metal/compare.h"
#include "metal/packed.h"
#include "metal/integer.h"
#include "metal/math.h"
#include "metal/math_parts.h"
#include "metal/integer_vectors.h"
#include "metal/relational.h"
#include "metal/geometric.h"
#include "metal/sync.h"
#include "metal/simd.h"
#include "metal/quad.h"
#include "metal/simdgroup_matrix.h"
#include "metal/atomic.h"
#include "metal/matrix.h"
#include "metal/simd_names.h"
#include "metal/pack.h"
#include "metal/logging.h"
#include "metal/builtins.h"
#include "metal/launch.h"
