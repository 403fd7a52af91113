"""Null and unset pointers, and private arrays: what a finding says of them."""

import numpy as np
import pytest

from voxtral_kernels import emulator

TEXT = """#include <metal_stdlib>
using namespace metal;
struct Pair { int a; float b; };
template <typename P> float ignored(P p) { float v = *p; (void)v; return 1; }
kernel void chosen(device float* y, device const float* x, uint i [[thread_position_in_grid]]) {
  device const float* q = nullptr;
  y[i] = x[i] > 7 ? x[i] : q[i];
}
#define NULLS(space) \\
  kernel void space##_first(device float* y, device int* n) { space float* q = 0; y[0] = *q; } \\
  kernel void space##_fifth(device float* y, device int* n) { space float* q = 0; y[0] = q[5]; } \\
  kernel void space##_member(device float* y, device int* n) { space Pair* q = nullptr; y[0] = q->b; } \\
  kernel void space##_unused(device float* y, device int* n) { space float* q = nullptr; y[0] = ignored(q); }
NULLS(device)
NULLS(constant)
NULLS(threadgroup)
kernel void written(device float* y, device int* n) { device float* q = 0; y[0] = 0; q[n[0]] = 3; }
kernel void atomic(device float* y, device int* n) {
  threadgroup atomic_int* q = 0; y[0] = atomic_fetch_add_explicit(q, 1, memory_order_relaxed);
}
kernel void unset(device float* y, device int* n) { device float* q; y[0] = q[n[0]]; }
kernel void array(device float* y, device int* n) { float a[4] = {1, 2, 3, 4}; y[0] = a[n[0]]; }
kernel void nested(device float* y, device int* n) { int a[2][3] = {}; y[0] = a[1][n[1]]; }
kernel void component(device float* y, device int* n) { float4 a(1); a[n[0]] = 2; y[0] = a.x; }
"""
NULL = [
    f"{space}_{what}"
    for space in ("device", "constant", "threadgroup")
    for what in ("first", "fifth", "member", "unused")
]


@pytest.fixture(scope="module")
def run():
    library = emulator.library(TEXT, raise_findings=False)

    def finding(name):
        numbers = np.arange(64, dtype=np.float32) if name == "chosen" else np.array([6, -2], np.int32)
        library.run(name, {0: np.zeros(64, np.float32), 1: numbers}, (1, 1, 1), (1, 1, 1), outputs=[0])
        return library.report.findings[0]

    return finding


@pytest.mark.parametrize("name", ["chosen", "written", "atomic", *NULL])
def test_every_access_to_null_is_a_finding_of_its_own_kind(run, name):
    found = run(name)
    assert found.kind == "null-pointer"
    assert found.buffer == ""
    offset = "20" if name.endswith("fifth") else None
    assert "null pointer" in found.message
    assert offset is None or f"at byte {offset} of a null pointer" in found.message


def test_a_pointer_without_a_value_is_said_to_be_one(run):
    found = run("unset")
    assert (found.kind, found.message) == ("wild-pointer", "access through a pointer that was never set")


@pytest.mark.parametrize(
    ("name", "message"),
    [("array", "index 6 of float[4]"), ("nested", "index -2 of int[3]"), ("component", "index 6 of float4")],
)
def test_a_private_array_names_its_index(run, name, message):
    found = run(name)
    assert (found.kind, found.message, found.buffer, found.offset) == (
        "out-of-bounds",
        message,
        "a private array",
        None,
    )
    assert "at byte" not in str(found)


def test_null_is_named_in_plain_mode_too():
    library = emulator.library(TEXT, mode="plain", raise_findings=False)
    library.run(
        "written", {0: np.zeros(64, np.float32), 1: np.array([6, 1], np.int32)}, (1, 1, 1), (1, 1, 1), outputs=[0]
    )
    assert library.report.findings[0].kind == "null-pointer"


ABSENT = """#include <metal_stdlib>
using namespace metal;
constant bool has_bias [[function_constant(0)]];
struct Sizes { int rows, columns; };
float biased(float x, constant Sizes& sizes, uint i) { return has_bias ? x + sizes.columns : x; }
kernel void k(device float* y [[buffer(0)]], constant Sizes& sizes [[buffer(1), function_constant(has_bias)]],
              uint i [[thread_position_in_grid]]) { y[i] = biased(1, sizes, i); }
"""


def test_an_argument_left_out_may_be_passed_on():
    """By reference it is null, which nobody reads."""
    library = emulator.library(ABSENT)
    (out,) = library.run("k", {0: np.zeros(4, np.float32)}, (4, 1, 1), (4, 1, 1), {0: False}, outputs=[0])
    assert out.tolist() == [1] * 4
    given = {0: np.zeros(4, np.float32), 1: np.array([1, 2], np.int32)}
    (out,) = library.run("k", given, (4, 1, 1), (4, 1, 1), {0: True}, outputs=[0])
    assert out.tolist() == [3] * 4


_STEPS = "\n".join(
    f"  s += t[(k + {n}) & 7] * {n}.5f; if (s > {1000 + n}.0f) s = s * 0.5f - t[(k * {n}) & 7];" for n in range(60)
)
CALLED = f"""#include <metal_stdlib>
using namespace metal;
__attribute__((noinline)) float once(thread float* t, uint k) {{ return t[k]; }}
[[gnu::noinline]] float twice(thread float* t, uint k) {{ return t[k]; }}
__attribute__((__noinline__)) float thrice(thread float* t, uint k) {{ return t[k]; }}
float large(thread float* t, uint k) {{
  float s = t[k];
{_STEPS}
  return s;
}}
kernel void k(device const uint* x, device float* y, constant uint& which, uint i [[thread_position_in_grid]]) {{
  float t[8], u[8];
  for (int j = 0; j < 8; ++j) t[j] = u[j] = j;
  if (which == 0) y[i] = once(t, x[i]);
  if (which == 1) y[i] = twice(t, x[i]);
  if (which == 2) y[i] = thrice(t, x[i]);
  if (which == 3) y[i] = large(t, x[i]) + large(u, x[i] / 2) + large(t, x[i] / 3) + large(u, x[i] / 4);
}}
"""


@pytest.mark.parametrize(("which", "line"), [(0, 3), (1, 4), (2, 5), (3, 7)])
def test_a_private_array_handed_to_a_function(which, line):
    library = emulator.library(CALLED, raise_findings=False)
    for index, kinds in ((7, []), (9, [("out-of-bounds", line)])):
        x = np.array([index], np.uint32)
        buffers = {0: x, 1: np.zeros(1, np.float32), 2: np.uint32(which)}
        library.run("k", buffers, (1, 1, 1), (1, 1, 1), outputs=[1])
        assert [(f.kind, f.line) for f in library.report.findings] == kinds


PAST = {
    "one element": ("inline void f(thread float* p) { p[4] = 1; }", "float a[4]; f(a); y[t] = a[t % 4];", 3),
    "a loop": (
        "inline void f(thread float* p) { for (uint j = 0; j <= 4; ++j) p[j] = j; }",
        "float a[4]; f(a); y[t] = a[t % 4];",
        3,
    ),
    "a loop to a number handed over": (
        "inline void f(thread float* p, uint n) { for (uint j = 0; j <= n; ++j) p[j] = j; }",
        "float a[4]; f(a, 4); y[t] = a[t % 4];",
        3,
    ),
    "a vector walked as floats": (
        "inline float f(thread float* p) { return p[0] + p[5]; }",
        "float4 a = float4(y[t]); y[t] = f((thread float*)&a);",
        3,
    ),
}


@pytest.mark.fault("wrong values: a helper that goes past a private array at an index that the compiler knows")
@pytest.mark.parametrize("name", PAST)
def test_a_helper_that_goes_past_its_array(name):
    helper, body, line = PAST[name]
    text = f"""#include <metal_stdlib>
using namespace metal;
{helper}
kernel void k(device float* y, uint t [[thread_position_in_threadgroup]]) {{ {body} }}
"""
    library = emulator.library(text, raise_findings=False, time_limit=5)
    library.run("k", {0: np.zeros(32, np.float32)}, (32, 1, 1), (32, 1, 1), outputs=[0])
    assert [(f.kind, f.buffer, f.line) for f in library.report.findings] == [("out-of-bounds", "a private array", line)]
