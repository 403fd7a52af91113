// Between the launch (grid.cpp) and its lanes (scheduler.cpp).
#pragma once
#include "launch.h"

namespace emulator {

// Switches to a lane; *save continues where the switch was made.
void continue_lane(void** save, Lane* next);
// The lane of the group that is ready and comes next in its order; one must be.
inline Lane* next_ready(const Simdgroup& group, unsigned after) {
  const uint32_t later = group.ready & ~((2u << after) - 1);
  return group.order[first_of(later ? later : group.ready)];
}
// The body of every lane's fiber.
void lane_main();

}  // namespace emulator
