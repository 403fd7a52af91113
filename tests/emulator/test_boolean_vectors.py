"""Comparisons of vectors give Boolean vectors (3.1, items 5 and 6), which have sizes of their own (table 2.3)."""

import numpy as np
import pytest

from voxtral_kernels import emulator

TYPES = {
    "char": np.int8, "uchar": np.uint8, "short": np.int16, "ushort": np.uint16, "int": np.int32, "uint": np.uint32,
    "long": np.int64, "ulong": np.uint64, "half": np.float16, "float": np.float32, "bfloat": None,
}  # fmt: skip
OPERATORS = {"<": np.less, ">": np.greater, "<=": np.less_equal, ">=": np.greater_equal, "==": np.equal,
             "!=": np.not_equal}  # fmt: skip
A, B = [3, 1, 2, 5], [3, 2, 1, 5]


def comparisons():
    """One kernel over all vector types and operators: each comparison as bits, with a vector and with a scalar."""
    lines = []
    for t in TYPES:
        for n in (2, 3, 4):
            a, b = (", ".join(f"{t}({v})" for v in values[:n]) for values in (A, B))
            lines.append(f"{{ {t}{n} a({a}), b({b});")
            for op in OPERATORS:
                lines.append(f"*out++ = bits(a {op} b) | bits(a {op} {t}(2)) << 4 | bits({t}(2) {op} a) << 8;")
            lines.append("}")
    return """
#include <metal_stdlib>
using namespace metal;
uint bits(bool2 b) { return b.x | b.y << 1; }
uint bits(bool3 b) { return b.x | b.y << 1 | b.z << 2; }
uint bits(bool4 b) { return b.x | b.y << 1 | b.z << 2 | b.w << 3; }
kernel void k(device uint* out) {
""" + "\n".join(lines) + "}\n"  # fmt: skip


def bits(flags):
    return sum(int(flag) << i for i, flag in enumerate(flags))


def test_comparisons_of_every_vector_type():
    want = []
    for _ in TYPES:
        for n in (2, 3, 4):
            a, b = np.array(A[:n]), np.array(B[:n])
            want += [bits(op(a, b)) | bits(op(a, 2)) << 4 | bits(op(2, a)) << 8 for op in OPERATORS.values()]
    library = emulator.library(comparisons(), mode="plain")
    (out,) = library.run("k", {0: np.zeros(len(want), np.uint32)}, (1, 1, 1), (1, 1, 1), outputs=[0])
    assert out.tolist() == want


TEXT = """
#include <metal_stdlib>
using namespace metal;
uint kind(int4) { return 1; }
uint kind(bool4) { return 2; }
uint kind(bool) { return 3; }
template <typename T> auto positive(T x) { return x > T(0); }
template <typename V> V masked(V v) { return v * V(v >= V(2)); }
struct Pair { int a, b; bool operator<(Pair o) const { return a < o.a; } };
bool operator==(Pair x, Pair y) { return x.a == y.a; }
enum class Mode { one, two };
struct Held { bool3 m; float f; };
kernel void k(device float* y, device const float4* v, constant float4& w, device bool3* masks, device bool4* wide) {
  float4 a = v[0];
  y[0] = dot(float4(a > 2.0f), float4(1, 10, 100, 1000));
  y[1] = uint((uint2(1, 5) < 2u).x);
  y[2] = sizeof(a > a) + 10 * sizeof(bool2) + 100 * sizeof(bool3) + 1000 * alignof(bool3) + 10000 * sizeof(Held);
  y[3] = kind(a == a) + 10 * kind(a.x == a.y) + 100 * kind(int4(a == a));
  y[4] = any(a > 3.5f) + 10 * all(a > 3.5f) + 100 * all(!(a > 9.0f)) + 1000 * any(isnan(a));
  bool4 m = a > 1.5f && a < 3.5f;
  m = m | (a == w);
  m.w = false;
  y[5] = dot(float4(m), float4(1, 2, 4, 8));
  y[6] = dot(select(a, float4(9), a <= w), float4(1, 2, 3, 4));
  y[7] = all(positive(a)) + 10 * positive(a.x);
  y[8] = dot(masked(a), float4(1));
  Pair p{1, 2}, q{1, 3};
  y[9] = select(1, 2, p == q) + 10 * select(1, 2, p < q);
  y[10] = select(1, 2, Mode::one != Mode::two) + 10 * select(1, 2, v == nullptr) + 100 * select(1, 2, v != 0);
  y[11] = (a.x < 4 ? 1 : 2) + 10 * max(int(a.x), a.x > 0 ? 3 : 4) + 100 * (1 << 2 > 3);
  y[12] = is_same_v<decltype(a > a), bool4> + 10 * is_same_v<decltype(a.x > a.y), bool>;
  y[13] = float3(bool3(true, false, true)).x + bool4(bool2(true, false), true, false).z * 10;
  y[14] = m[1] + 10 * as_type<uchar4>(m).y + 100 * any(half2(1, 2) >= 2.0h);
  y[15] = all((a == a) == bool4(true)) + 10 * any(bool2(true, false) ^ bool2(true, true));
  masks[0] = a.xyz > 1.5f;
  masks[1] = not(bool3(true, false, true));
  wide[0] = wide[1] || m;
}
"""


@pytest.mark.parametrize("mode", ["plain", "checked"])
def test_boolean_vectors(mode):
    f = np.float32
    buffers = {
        0: np.zeros(16, f), 1: np.array([1, 2, 3, 4], f), 2: np.array([1, 0, 3, 9], f),
        3: np.zeros(8, np.uint8), 4: np.array([0] * 4 + [0, 0, 0, 1], np.uint8),
    }  # fmt: skip
    y, masks, wide = emulator.library(TEXT, mode=mode).run("k", buffers, (1, 1, 1), (1, 1, 1), outputs=[0, 3, 4])
    assert y.tolist() == [
        1100, 1, 84424, 132, 101, 7, 9 + 4 + 27 + 36, 11, 9, 12, 212, 131, 11, 11, 111, 11,
    ]  # fmt: skip
    assert masks.tolist()[:3] == [0, 1, 1]
    assert masks.tolist()[4:7] == [0, 1, 0]
    assert wide.tolist()[:4] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "line",
    ["y[0] = (a > b) ? 1.0f : 2.0f;", "if (a > b) y[0] = 1;", "int4 m = a > b;", "bool c = a > b;",
     "bool4 m = int4(a);", "y[0] = a > b;"],
    ids=["condition", "if", "int4", "bool", "from-int4", "scalar"],
)  # fmt: skip
def test_a_boolean_vector_is_neither_a_condition_nor_a_number(line):
    """A condition is a scalar (3.1, item 8; 5.6), and there is no implicit conversion of vectors (2.12)."""
    text = "#include <metal_stdlib>\nusing namespace metal;\n"
    text += f"kernel void k(device float* y, device float4* v) {{ float4 a = v[0], b = v[1]; {line} }}"
    with pytest.raises(emulator.KernelError):
        emulator.library(text).run("k", {0: np.zeros(4, np.float32), 1: np.zeros(8, np.float32)}, (1, 1, 1), (1, 1, 1))
