// The quad_ functions: groups of four neighbouring lanes.
#pragma once

namespace metal {

#define MSL_WIDTH 4
#define MSL_NAME(name) quad_##name
#define MSL_OP(name) MSL_OP_quad_##name
#include "metal/group_functions.inc"
#undef MSL_WIDTH
#undef MSL_NAME
#undef MSL_OP

struct quad_vote {
  using vote_t = ulong;
  vote_t bits = 0, active = 15;
  quad_vote() = default;
  constexpr explicit quad_vote(vote_t bits_, vote_t active_ = 15) : bits(bits_), active(active_) {}
  constexpr explicit operator vote_t() const { return bits; }
  constexpr bool all() const { return bits == active; }
  constexpr bool any() const { return bits != 0; }
};

MSL_FN quad_vote quad_ballot(bool predicate) {
  msl_votes votes = quad_votes(predicate);
  return quad_vote(votes.set, votes.active);
}
MSL_FN quad_vote quad_active_threads_mask() {
  msl_votes votes = quad_votes(true);
  return quad_vote(votes.set, votes.active);
}

}  // namespace metal
