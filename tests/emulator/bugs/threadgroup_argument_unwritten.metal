// kind: uninitialised-read
// what: threadgroup memory from the host is taken to be zero
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]
// threadgroup memory 0: 256

kernel void threadgroup_argument_unwritten(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                                           threadgroup float* scratch [[threadgroup(0)]],
                                           uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {
#ifndef BUG
  scratch[t] = 0;
#endif
  scratch[t] += x[i];  // finding
  out[i] = scratch[t];
}
