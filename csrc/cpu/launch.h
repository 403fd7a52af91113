// Runs a CPU kernel: picks the instruction set, cuts the work into tasks, hands them to the pool.
#pragma once

#include <string>
#include <vector>

#include "args.h"

namespace voxtral::cpu {

#define VOXTRAL_LAUNCH(op, Args, isa) void launch(Args args);
VOXTRAL_OPS(VOXTRAL_LAUNCH, )
#undef VOXTRAL_LAUNCH

// The instruction sets that this processor has, best first.
std::vector<std::string> available_isas();

// The one in use: the best, or VOXTRAL_KERNELS_ISA at load, or the one chosen by use_isa.
std::string isa();

// Floats in a vector of the set in use.
Index lanes();

// Throws std::invalid_argument for a set that this processor lacks.
void use_isa(const std::string& name);

}  // namespace voxtral::cpu
