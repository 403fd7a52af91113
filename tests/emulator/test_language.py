"""Constructs of the language that clang knows only in other clothes: what the translator is for."""

import numpy as np
import pytest

from voxtral_kernels import emulator

TEXT = """
#include <metal_stdlib>
using namespace metal;

struct Range {
  int first, count;
  int last() const { return first + count - 1; }
  int first_of() const device { return first; }
  int first_of() const threadgroup { return 10 * first; }
  int first_of() const { return 100 * first; }
  thread int& start() { return first; }
  void grow(int by);
};
void Range::grow(int by) { count += by; }
Range range(int first, int count) { return Range{first, count}; }

inline int space(device const int*) { return 1; }
inline int space(threadgroup const int*) { return 2; }
inline int space(constant const int*) { return 3; }
inline int space(thread const int*) { return 4; }
constant int table[2][2] = {{1, 2}, {3, 4}};

template <typename V>
V ramp(float from) {
  return V(from, from + 1);
}
template <typename T>
struct Twice {
  T value;
  T operator()(T x) const { return x * value; }
  Twice operator+(Twice other) const { return Twice{value + other.value}; }
};
enum class Mode : uint { add = 1, multiply = 2 };
union Bits {
  float f;
  uint u;
};
#define STAGE(name, n) threadgroup int name[n]; name[lane] = int(lane)

kernel void k(device int* out, device Range* ranges, uint lane [[thread_position_in_threadgroup]]) {
  STAGE(staged, 4);
  threadgroup Range shared;
  threadgroup alignas(16) int grid[2][2], single;
  const int local = 5, global = 6, generic = 7;
  if (lane == 0) {
    shared = ranges[0];
    grid[1][0] = 30;
    single = 40;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  int mine[2] = {local + global, generic};
  Range r = ranges[1];
  r.grow(3);
  r.start() = 2;
  float2 v = ramp<float2>(3);
  half2 h = ramp<half2>(4);
  auto square = [](int x) { return x * x; };
  Bits bits;
  bits.f = 1.0f;
  int total = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) total += staged[i];
  if (lane == 0) {
    int values[] = {
        ranges[0].first_of(), shared.first_of(), r.first_of(), r.last(), range(4, 5).last(),
        space(out), space(staged), space(&table[0][0]), space(mine), table[1][0],
        int(v.y), int(h.y), (Twice<int>{3} + Twice<int>{4})(5), int(Mode::multiply), int(bits.u >> 20),
        square(6), total, grid[1][0] + single, mine[0], int(static_cast<bfloat>(half(2.5h)) * bfloat(2.0f)),
    };
    for (int i = 0; i < 20; ++i) out[i] = values[i];
  }
}
"""


def test_language():
    ranges = np.array([[7, 2], [8, 1]], np.int32)
    buffers = {0: np.zeros(20, np.int32), 1: ranges}
    (out,) = emulator.library(TEXT, language_version="3.2").run("k", buffers, (4, 1, 1), (4, 1, 1), outputs=[0])
    assert out.tolist() == [7, 70, 200, 5, 8, 1, 2, 3, 4, 3, 4, 5, 35, 2, 0x3F8, 36, 6, 70, 11, 5]


ONE = "kernel void k(device float* y) {{ {} }}"
METHOD = "struct A { float x; float get() const { return x; } };\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (METHOD + "kernel void k(device A* y) {\n y[0].x = y[0].get();\n}", "kernel.metal:3:"),
        (ONE.format("float4 v(1, 2, 3);"), "a vector is built from one scalar, or from as many"),
        (ONE.format("float4 v = float2(1);"), "error"),
        ("kernel void k(device float* y, uint i) { y[0] = i; }", "kernel.metal:1"),
        ("kernel int k(device float* y) { return 1; }", "kernel.metal:1"),
        ("kernel void k(device float* y) { y[0] = 1; ", "never closed"),
    ],
    ids=["device-method", "components", "narrow", "attribute", "result", "brace"],
)
def test_what_metal_refuses_is_refused(text, message):
    with pytest.raises(emulator.KernelError, match=message):
        emulator.library(text).run("k", {0: np.zeros(4, np.float32)}, (1, 1, 1), (1, 1, 1))
