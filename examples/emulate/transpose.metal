#include <metal_stdlib>
using namespace metal;

kernel void transpose(const device float* x [[buffer(0)]], device float* y [[buffer(1)]],
                      uint2 at [[thread_position_in_grid]], uint2 size [[threads_per_grid]]) {
  y[at.x * size.y + at.y] = x[at.y * size.x + at.x];
}

// Through a tile of threadgroup memory, whose rows are one longer so that its columns lie in different banks.
kernel void transpose_tiled(const device float* x [[buffer(0)]], device float* y [[buffer(1)]],
                            uint2 group [[threadgroup_position_in_grid]], uint2 t [[thread_position_in_threadgroup]],
                            uint2 size [[threads_per_grid]]) {
  threadgroup float tile[32][33];
  tile[t.y][t.x] = x[(group.y * 32 + t.y) * size.x + group.x * 32 + t.x];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[(group.x * 32 + t.y) * size.y + group.y * 32 + t.x] = tile[t.x][t.y];
}
