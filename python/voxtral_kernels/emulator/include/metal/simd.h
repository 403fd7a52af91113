// metal_simdgroup: the simd_ functions. quad.h makes the quad_ ones of the same text.
#pragma once
#include "metal/collectives.h"

namespace metal {

#define MSL_WIDTH 32
#define MSL_NAME(name) simd_##name
#define MSL_OP(name) MSL_OP_simd_##name
#include "metal/group_functions.inc"
#undef MSL_WIDTH
#undef MSL_NAME
#undef MSL_OP

// The result of simd_ballot: one bit a lane.
struct simd_vote {
  using vote_t = ulong;
  vote_t bits = 0, active = ~vote_t(0);
  simd_vote() = default;
  constexpr explicit simd_vote(vote_t bits_, vote_t active_ = 0xffffffffu) : bits(bits_), active(active_) {}
  constexpr explicit operator vote_t() const { return bits; }
  constexpr bool all() const { return bits == active; }
  constexpr bool any() const { return bits != 0; }
};

MSL_FN simd_vote simd_ballot(bool predicate) {
  msl_votes votes = simd_votes(predicate);
  return simd_vote(votes.set, votes.active);
}
MSL_FN simd_vote simd_active_threads_mask() {
  msl_votes votes = simd_votes(true);
  return simd_vote(votes.set, votes.active);
}

}  // namespace metal
