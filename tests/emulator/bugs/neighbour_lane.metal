// kind: race
// what: lanes of one simdgroup exchange values without a barrier, trusting lockstep
// launch: grid 32, threadgroup 32
// buffer 0: in float[64]
// buffer 1: out float[32]

kernel void neighbour_lane(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                           uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float tile[32];
  tile[lane] = x[i];  // finding
#ifndef BUG
  simdgroup_barrier(mem_flags::mem_threadgroup);
#endif
  out[i] = tile[31 - lane];  // finding
}
