// kind: wild-pointer
// what: an offset computed in 32 bits wraps and lands terabytes away
// launch: grid 64, threadgroup 64
// buffer 0: in float[64]
// buffer 1: out float[64]

kernel void wild_pointer(const device float* x [[buffer(0)]], device float* out [[buffer(1)]],
                         uint i [[thread_position_in_grid]]) {
#ifdef BUG
  const long offset = (long(i) + 1) << 42;
#else
  const long offset = i;
#endif
  out[i] = x[offset];  // finding
}
