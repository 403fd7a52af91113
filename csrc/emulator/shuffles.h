// Shuffles that take from lanes that are not there: what they give is undefined, and an error only if it is used.
#pragma once
#include "launch.h"

namespace emulator {

const char* operation_name(unsigned operation);

// Notes in `launch->absent` if an operation of the lanes in `group.group.mask` is a shuffle that takes from another one.
void note_absent(const Simdgroup& group, const Lane& first);

// Sets what a lane that is not there gives: NaN, and great numbers of both signs at the place of `Options::absent_at`.
void fill_absent(Simdgroup& group, const Lane& first);

}  // namespace emulator
