// kind: threads-limit
// what: a threadgroup of 1056 threads
// launch: grid 1056, threadgroup 1056 fixed 528
// buffer 0: out float[1056]
// line: none

kernel void too_many_threads(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) { out[i] = i; }
