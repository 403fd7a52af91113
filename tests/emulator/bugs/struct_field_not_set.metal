// kind: uninitialised-private
// what: the maximum of an online softmax starts from nothing
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// line: none

struct State {
  float maximum;
  float sum;
};

kernel void struct_field_not_set(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                 uint i [[thread_position_in_grid]]) {
  State state;
  state.sum = 0;
#ifndef BUG
  state.maximum = -INFINITY;
#endif
  for (uint j = 0; j < 4; ++j) {
    const float next = max(state.maximum, x[(i + j) % 64]);  // finding
    state.sum = state.sum * exp(state.maximum - next) + exp(x[(i + j) % 64] - next);
    state.maximum = next;
  }
  out[i] = state.sum;
}
