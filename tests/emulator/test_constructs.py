"""Constructs that Metal takes and the host's language has not: each compiled, run, and held to a value."""

import numpy as np
import pytest

from voxtral_kernels import emulator

HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"
# Text, entry, threads, the first results.
CASES = {
    "operators-of-a-struct": (
        """struct V {
             float a[4];
             thread float& operator[](int i) thread { return a[i]; }
             float operator[](int i) const { return a[i]; }
             float operator()(float x) const thread { return a[0] * x; }
             thread V& operator+=(float x) thread { for (int i = 0; i < 4; ++i) a[i] += x; return *this; }
           };
           kernel void k(device float* y) {
             V v; for (int i = 0; i < 4; ++i) v[i] = i;
             v += 1; y[0] = v[1] + v(2);
           }""", "k", 1, [4]),
    "simd-header": (
        """#include <simd/simd.h>
           struct U { simd_float4 a; vector_float3 b; simd_uint2 c; matrix_float4x4 m; simd::float4 d; };
           kernel void k(device float* y) { U u; u.a = simd_float4(2); u.m = simd_float4x4(3); u.d = u.a;
             y[0] = u.d.x + u.m[2][2]; y[1] = sizeof(U); }""", "k", 1, [5, 128]),
    "assert": ("kernel void k(device float* y) { int x = 3; assert(x > 0); y[0] = x; }", "k", 1, [3]),
    "coherent": (
        """kernel void k(device coherent(device) float* y, uint i [[thread_position_in_grid]]) { y[i] = i; }""",
        "k", 4, [0, 1, 2, 3]),
    "kernel-in-a-namespace": (
        """namespace a { namespace b { constant constexpr int three = 3;
             kernel void deep(device float* y, uint i [[thread_position_in_grid]]) { y[i] = three; } } }""",
        "a::b::deep", 2, [3, 3]),
    "instance-in-a-namespace": (
        """namespace a { template <typename T> kernel void make(device T* y) { y[0] = T(4); }
             template [[host_name("make_float")]] kernel void make<float>(device float*); }""", "make_float", 1, [4]),
    "built-ins-at-program-scope": (
        """uint gid [[thread_position_in_grid]]; uint2 group [[threadgroup_position_in_grid]];
           ushort lane [[thread_index_in_simdgroup]];
           float helper() { return float(gid) * 2; }
           kernel void k(device float* y) { y[gid] = helper() + lane + group.x * 100; }""", "k", 4, [0, 3, 6, 9]),
    "threadgroup-reference": (
        """kernel void k(device float* y, threadgroup float& s, uint i [[thread_position_in_grid]]) {
             if (i == 0) s = 3;
             threadgroup_barrier(mem_flags::mem_threadgroup);
             y[i] = s; }""", "k", 2, [3, 3]),
    "packed-swizzles": (
        """kernel void k(device float* y, device packed_float3* p) {
             packed_float3 q(1, 2, 3); float2 a = q.xy; float3 b = q.zyx;
             y[0] = a.y + 10 * b.x; q.xz = float2(7, 8); y[1] = q.x + 10 * q.z; y[2] = q.r;
             p[0].yz = float2(4, 5); y[3] = float2(p[0].yz).x; y[4] = float3(q.rgb).y; y[5] = (q.xy * 2.0f).x;
             y[6] = (q.xy + a).y; packed_half4 h(1, 2, 3, 4); y[7] = half3(h.wzx).y; }""",
        "k", 1, [32, 87, 7, 4, 2, 14, 4, 3]),
    "column-by-reference": (
        """kernel void k(device float* y, device packed_float3*) {
             float4x4 a(1); thread float4& c = a[2]; c.x = 3; a[1] = float4(2); y[0] = a[2].x;
             y[1] = (a * float4(1)).x; }""",
        "k", 1, [3, 6]),
    "several-vectors-in-one-declaration": (
        "kernel void k(device float* y) { float2 a(1, 2), b(3), c = a + b, d(c); y[0] = d.y; }", "k", 1, [5]),
    "kernel-named-like-a-function": (
        "kernel void clamp(device float* y) { y[0] = metal::clamp(5, 0, 2); }", "clamp", 1, [2]),
    "vectors-of-a-template-parameter": (
        """template <typename V> V up(int4 v) { return V(v) + (V)v; }
           kernel void k(device float* y) { y[0] = up<float4>(int4(3)).y; }""", "k", 1, [6]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_construct(name):
    text, entry, threads, want = CASES[name]
    buffers = {0: np.zeros(32, np.float32), 1: np.zeros(8, np.float32)}
    library = emulator.library(HEAD + text, language_version="3.2")
    memory = {0: 16} if name == "threadgroup-reference" else {}
    outputs = [0, 1] if "packed_float3*" in text else [0]
    out = library.run(entry, buffers, (threads, 1, 1), (threads, 1, 1), outputs=outputs, threadgroup_memory=memory)
    assert out[0].tolist()[: len(want)] == want


@pytest.mark.parametrize("header", ["metal_texture", "metal_graphics", "metal_math", "simd/simd.h"])
def test_a_header_by_itself(header):
    text = f"#include <{header}>\nkernel void k(device float* y) {{ y[0] = 1; }}"
    (out,) = emulator.library(text).run("k", {0: np.zeros(1, np.float32)}, (1, 1, 1), (1, 1, 1), outputs=[0])
    assert out.tolist() == [1]


def test_a_header_of_a_given_folder_in_angle_brackets(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/part.h").write_text("#include <metal_stdlib>\ninline float part(float x) { return x + 1; }\n")
    text = "#include <mine/part.h>\nkernel void k(device float* y) { y[0] = part(metal::fabs(y[0])); }"
    library = emulator.library(text, include_dirs=[tmp_path])
    (out,) = library.run("k", {0: np.ones(1, np.float32)}, (1, 1, 1), (1, 1, 1), outputs=[0])
    assert out.tolist() == [2]
    with pytest.raises(emulator.KernelError, match=r"mine/part\.h"):
        emulator.library(text)
    with pytest.raises(emulator.KernelError, match="cmath"):
        emulator.library("#include <cmath>\n" + text, include_dirs=[tmp_path])


def test_a_second_name_beside_a_built_in_at_program_scope_is_refused():
    text = HEAD + "uint gid [[thread_position_in_grid]];\nkernel void k(device float* y) { uint gid = 3; y[gid] = 1; }"
    with pytest.raises(emulator.KernelError, match="no second gid"):
        emulator.library(text)
