"""Every function of the specification's chapter 6 without textures: there with the right value, or refused by name."""

import importlib.util
import pathlib

import numpy as np
import pytest

from voxtral_kernels import emulator

_spec = importlib.util.spec_from_file_location("chapter6", pathlib.Path(__file__).parent / "chapter6.py")
chapter6 = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(chapter6)

N = 64
HEAD = """#include <metal_stdlib>
using namespace metal;
// Of functions with two results, and of integer results, each as T.
#define PARTS(T, I) \\
  T frexp_value(T x) { I e; return frexp(x, e); } \\
  T frexp_exponent(T x) { I e; frexp(x, e); return T(e); } \\
  T ilogb_value(T x) { return T(ilogb(x)); } \\
  T modf_value(T x) { T whole; return modf(x, whole); } \\
  T modf_whole(T x) { T whole; modf(x, whole); return whole; } \\
  T sincos_value(T x) { T c; return sincos(x, c); } \\
  T sincos_cosine(T x) { T c; sincos(x, c); return c; } \\
  T nextafter_up(T x) { return nextafter(x, T(8)); }
#define ALL(T) PARTS(T, int) PARTS(T##2, int2) PARTS(T##3, int3) PARTS(T##4, int4)
ALL(float)
ALL(half)
"""


def kernel(type_, functions):
    """One kernel: each function of a scalar, and the number of vector components that differ from it."""
    lines = [f"{type_} x = X[i], y = Y[i], z = Z[i], w = W[i], x_ = X[N - 1 - i], y_ = Y[N - 1 - i];"]
    lines.append(f"{type_} z_ = Z[N - 1 - i], w_ = W[N - 1 - i];")
    for j, function in enumerate(functions):
        t = type_
        lines.append(f"{{ using T = {t}; OUT[i * M + {j}] = T({function.call}); }}")
        for n in (2, 3, 4):
            # The odd components hold another row.
            rows = {v: ", ".join((v, f"{v}_")[k % 2] for k in range(n)) for v in "xyzw"}
            vectors = " ".join(f"{t}{n} {v}v({row});" for v, row in rows.items())
            lines.append(f"{{ {vectors} using T = {t}{n}; T r; {{ T x = xv, y = yv, z = zv, w = wv;"
                         f" r = T({function.call}); }}")  # fmt: skip
            lines.append(f"{{ using T = {t}; OUT2[(i * M + {j}) * 9 + {sum(range(2, n))}] = r[0];")
            lines += [f"OUT2[(i * M + {j}) * 9 + {sum(range(2, n)) + k}] = r[{k}];" for k in range(1, n)]
            lines.append("} }")
    signature = ", ".join(f"device const {type_}* {name}" for name in "XYZW")
    text = f"constant constexpr uint N = {N}, M = {len(functions)};\n"
    text += f"kernel void k({signature}, device {type_}* OUT, device {type_}* OUT2,"
    text += "uint i [[thread_position_in_grid]]) {\n"
    return HEAD + text + "\n".join(lines) + "\n}\n"


def run(type_, functions, inputs):
    library = emulator.library(kernel(type_, functions), mode="plain")
    dtype, m = inputs[0].dtype, len(functions)
    buffers = dict(enumerate(inputs)) | {4: np.zeros((N, m), dtype), 5: np.zeros((N, m, 9), dtype)}
    scalars, vectors = (np.array(a) for a in library.run("k", buffers, (N, 1, 1), (N, 1, 1), outputs=[4, 5]))
    for n, start in ((2, 0), (3, 2), (4, 5)):
        for k in range(n):
            of_row = scalars[::-1] if k % 2 else scalars
            for j, function in enumerate(functions):
                np.testing.assert_array_equal(vectors[:, j, start + k], of_row[:, j], err_msg=f"{function.call}, {n}")
    return scalars


@pytest.mark.parametrize(("type_", "dtype"), [("float", np.float32), ("half", np.float16)], ids=["float", "half"])
def test_functions_of_floats(type_, dtype):
    rng = np.random.default_rng(6)
    ranges = ((-3, 3), (0.5, 2), (-1, 4), (2, 4))
    inputs = [rng.uniform(low, high, N).astype(dtype) for low, high in ranges]
    got = run(type_, chapter6.FLOAT, inputs)
    wide = [x.astype(np.float64) for x in inputs]
    for j, function in enumerate(chapter6.FLOAT):
        if function.name == "nextafter_up":
            np.testing.assert_array_equal(got[:, j], np.nextafter(inputs[0], dtype(8)))
            continue
        want = function.truth(*wide)
        ulp = np.abs(np.spacing(want.astype(dtype))).astype(np.float64)
        # A half is computed as a float and rounded once; the float itself may be off near a root.
        most = (function.ulps if dtype is np.float32 else 1) * ulp + 2.0**-22
        off = np.abs(got[:, j] - want)
        assert np.all(off <= most), f"{function.call}: {np.max(off / ulp)} ulps"


@pytest.mark.parametrize("t", chapter6.INTEGERS, ids=lambda t: t.name)
def test_functions_of_integers(t):
    rng = np.random.default_rng(t.bits)
    dtype = np.dtype(f"{'i' if t.signed else 'u'}{t.bits // 8}")
    info = np.iinfo(dtype)
    x, y = (rng.integers(info.min, info.max, N, dtype=dtype, endpoint=True) for _ in range(2))
    x[:4], y[:4] = (info.min, info.max, 0, 1), (info.max, info.max, 0, info.min)
    z = rng.integers(0, 100, N).astype(dtype)
    functions = chapter6.INTEGER + (chapter6.INTEGER_24 if t.bits == 32 else [])
    if t.bits == 32:
        x[4:], y[4:] = x[4:] >> 9, y[4:] >> 9  # mul24 takes no more
        x[:4], y[:4] = (5, 7, 0, 1), (3, 1000, 0, 4)
    got = run(t.name, functions, [x, y, z, z])
    for j, function in enumerate(functions):
        want = [t.wrap(function.truth(int(a), int(b), int(c), t)) for a, b, c in zip(x, y, z, strict=True)]
        assert got[:, j].tolist() == want, function.call


RELATIONAL = """
#define PER(T) \\
  { T x = T(v[0]), inf = T(INFINITY), nan = T(NAN); \\
    vec<T, 3> a(x, inf, nan), b(nan, x, -inf); bool3 t(true, false, true); \\
    ROW(isfinite(a)) ROW(isinf(b)) ROW(isnan(a)) ROW(isnormal(vec<T, 3>(T(0), x, inf))) ROW(isordered(a, b)) \\
    ROW(isunordered(a, vec<T, 3>(x))) ROW(signbit(b * T(-1))) ROW(not(t)) ROW(t) \\
    out[n++] = isfinite(x) + 2 * isinf(inf) + 4 * isnan(nan) + 8 * isnormal(x) \\
      + 16 * isordered(x, x) \\
      + 32 * isunordered(x, nan) + 64 * signbit(-x) + 128 * all(t) + 256 * any(t) \\
      + 512 * all(true) + 1024 * any(false); \\
    out[n++] = uint(float(select(a, b, t)[1]) == INFINITY) + 2 * uint(select(x, inf, true) == inf); \\
    out[n++] = uint(select(int3(1, 2, 3), int3(4, 5, 6), t)[2]); }
#define ROW(call) { bool3 r = call; out[n++] = r.x + 2 * r.y + 4 * r.z; }
kernel void k(device const float* v, device uint* out) { uint n = 0; PER(float) PER(half) }
"""


def test_relational_functions():
    library = emulator.library(HEAD + RELATIONAL, mode="plain")
    (out,) = library.run(
        "k", {0: np.ones(1, np.float32), 1: np.zeros(24, np.uint32)}, (1, 1, 1), (1, 1, 1), outputs=[1]
    )
    rows = [0b001, 0b100, 0b100, 0b010, 0b010, 0b100, 0b010, 0b010, 0b101]
    # The sign of -NaN is the first of b * -1.
    got = out.tolist()
    for start in (0, 12):
        assert [r & 0b110 if i == 6 else r for i, r in enumerate(got[start : start + 9])] == rows
        assert got[start + 9 : start + 12] == [895, 3, 6]


GEOMETRIC = """
#define PER(T, n) { vec<T, n> a, b, c; \\
    for (int i = 0; i < n; ++i) { a[i] = T(v[i]); b[i] = T(v[4 + i]); c[i] = T(v[8 + i]); } \\
    OUT(distance(a, b)) OUT(distance_squared(a, b)) OUT(dot(a, b)) OUT(length(a)) OUT(length_squared(a)) \\
    OUT(faceforward(a, b, c)[1]) OUT(normalize(a)[1]) OUT(reflect(a, b)[1]) \\
    OUT(refract(normalize(a), normalize(b), T(0.5))[1]) }
#define OUT(x) out[k++] = float(x);
kernel void k(device const float* v, device float* out) {
  uint k = 0;
  PER(float, 2) PER(float, 3) PER(float, 4) PER(half, 2) PER(half, 3) PER(half, 4)
  float3 a(v[0], v[1], v[2]), b(v[4], v[5], v[6]);
  OUT(cross(a, b).x) OUT(cross(a, b).y) OUT(cross(half3(a), half3(b)).z)
  OUT(fast::length(a)) OUT(precise::distance(a, b)) OUT(fast::normalize(a).x)
  OUT(refract(float2(1, 0), float2(0, 1), 2.0f).x)
}
"""


def test_geometric_functions():
    v = np.array([0.5, -1.25, 2, 0.75, 1, 0.5, -0.25, 2, -1, 0.5, 1, 1], np.float32)
    library = emulator.library(HEAD + GEOMETRIC, mode="plain")
    (out,) = library.run("k", {0: v, 1: np.zeros(64, np.float32)}, (1, 1, 1), (1, 1, 1), outputs=[1])
    want = []
    for n in (2, 3, 4):
        a, b, c = (v[i : i + n].astype(np.float64) for i in (0, 4, 8))
        unit, normal = a / np.linalg.norm(a), b / np.linalg.norm(b)
        along = normal @ unit
        k = 1 - 0.25 * (1 - along**2)
        want += [
            np.linalg.norm(a - b), (a - b) @ (a - b), a @ b, np.linalg.norm(a), a @ a, a[1] if c @ b < 0 else -a[1],
            unit[1], (a - 2 * (b @ a) * b)[1], (0.5 * unit - (0.5 * along + np.sqrt(k)) * normal)[1],
        ]  # fmt: skip
    a, b = v[:3].astype(np.float64), v[4:7].astype(np.float64)
    cross = np.cross(a, b)
    more = [*cross, np.linalg.norm(a), np.linalg.norm(a - b), a[0] / np.linalg.norm(a), 0]
    got = out.tolist()
    np.testing.assert_allclose(got[:27], want, rtol=1e-6)
    np.testing.assert_allclose(got[27:54], want, rtol=6e-3)
    np.testing.assert_allclose(got[54:61], more, rtol=1e-3)


MATRIX = """
#define PER(T) { \\
    T##2x2 m(T(3), T(1), T(2), T(4)); OUT(determinant(m)) OUT(transpose(m)[0][1]) \\
    T##3x3 q(T(2), T(0), T(1), T(1), T(3), T(0), T(0), T(1), T(4)); OUT(determinant(q)) OUT(transpose(q)[2][0]) \\
    T##4x4 d(T(2)); d[0][3] = 5; d[3] = T##4(1, 2, 3, 4); OUT(determinant(d)) OUT((d * d)[0][3]) \\
    T##2x3 r(T##3(1, 2, 3), T##3(4, 5, 6)); OUT(transpose(r)[1][1]) OUT((r * T##2(1, 2)).z) \\
    OUT((T##3(1, 2, 3) * r).y) \\
    T##2x3 s = r + r; s -= r * 2; s = -(s + 0.5f * r); s += r; s *= 3; OUT(s[1][2]) OUT((r == r) + 2 * (r != s)) }
#define OUT(x) out[k++] = float(x);
kernel void k(device float* out, constant float4x4& given) {
  uint k = 0;
  PER(float) PER(half)
  half4x4 narrow = half4x4(given);
  float4x4 wide(narrow);
  OUT(narrow[1][2]) OUT(wide[3][3]) OUT(float3x3(half3x3(1.5h))[2][2])
}
"""


def test_matrices():
    given = np.arange(16, dtype=np.float32)
    library = emulator.library(HEAD + MATRIX, mode="plain")
    (out,) = library.run("k", {0: np.zeros(32, np.float32), 1: given}, (1, 1, 1), (1, 1, 1), outputs=[0])
    d = np.diag([2.0, 2, 2, 2])  # rows here are columns there
    d[0, 3], d[3] = 5, (1, 2, 3, 4)
    want = [10, 2, 25, 1, round(np.linalg.det(d)), (d @ d)[0, 3], 5, 15, 32, 9, 3]
    assert out.tolist()[:25] == [*want, *want, 6, 15, 1.5]


PACKING = """
#define PER(T) { T##4 v(T(x[0]), T(x[1]), T(x[2]), T(x[3])); \\
    W(pack_##T##_to_unorm4x8(v)) W(pack_##T##_to_snorm4x8(v)) W(pack_##T##_to_unorm2x16(v.xy)) \\
    W(pack_##T##_to_snorm2x16(v.xy)) \\
    W(pack_##T##_to_unorm10a2(v)) W(pack_##T##_to_unorm565(v.xyz)) W(pack_##T##_to_srgb_unorm4x8(v)) \\
    R(unpack_unorm4x8_to_##T(0x80ff0040), 4) R(unpack_snorm4x8_to_##T(0x80ff0040), 4) \\
    R(unpack_unorm2x16_to_##T(0x8000ffff), 2) \\
    R(unpack_snorm2x16_to_##T(0x80004000), 2) R(unpack_unorm10a2_to_##T(0x80100200), 4) \\
    R(unpack_unorm565_to_##T(ushort(0xF81F)), 3) R(unpack_unorm4x8_srgb_to_##T(0x80ff0040), 4) }
#define W(call) bits[n++] = uint(call);
#define R(call, size) { auto r = call; for (int i = 0; i < size; ++i) out[k++] = float(r[i]); }
kernel void k(device const float* x, device uint* bits, device float* out) { uint n = 0, k = 0; PER(float) PER(half) }
"""


def test_pack_and_unpack():
    x = np.array([0.25, -0.5, 1.5, 0.75], np.float32)
    library = emulator.library(HEAD + PACKING, mode="plain")
    buffers = {0: x, 1: np.zeros(14, np.uint32), 2: np.zeros(46, np.float32)}
    bits, out = library.run("k", buffers, (1, 1, 1), (1, 1, 1), outputs=[1, 2])
    red_srgb = round((1.055 * 0.25 ** (1 / 2.4) - 0.055) * 255)
    words = [
        0xBFFF0040, 0x5F7FC020, 0x00004000, 0xC0002000, 0x80000000 | 1023 << 20 | 256, 8 << 11 | 31,
        0xBFFF0000 | red_srgb,
    ]  # fmt: skip
    assert bits.tolist()[:7] == words
    assert bits.tolist()[7:] == words
    srgb = ((64 / 255 + 0.055) / 1.055) ** 2.4
    values = [
        *(64 / 255, 0, 1, 128 / 255), *(64 / 127, 0, -1 / 127, -1), *(1, 32768 / 65535), *(16384 / 32767, -1),
        *(512 / 1023, 0, 1 / 1023, 2 / 3), *(1, 0, 1), *(srgb, 0, 1, 128 / 255),
    ]  # fmt: skip
    np.testing.assert_allclose(out.tolist()[:23], values, rtol=1e-6)
    np.testing.assert_allclose(out.tolist()[23:], values, rtol=1e-3)


CONSTANTS = {"E": np.e, "LOG2E": 1 / np.log(2), "LOG10E": 1 / np.log(10), "LN2": np.log(2), "LN10": np.log(10),
             "PI": np.pi,
             "PI_2": np.pi / 2, "PI_4": np.pi / 4, "1_PI": 1 / np.pi, "2_PI": 2 / np.pi, "2_SQRTPI": 2 / np.sqrt(np.pi),
             "SQRT2": np.sqrt(2), "SQRT1_2": np.sqrt(0.5)}  # fmt: skip


def test_constants():
    """Tables 6.7 and 6.8, and bfloat's of 3.1."""
    suffixes = {"F": 2.0**-24, "H": 2.0**-11, "BF": 2.0**-8}
    lines = [f"*out++ = float(M_{name}_{suffix});" for suffix in suffixes for name in CONSTANTS]
    lines.append("*out++ = MAXFLOAT; *out++ = MAXHALF; *out++ = float(MAXBFLOAT); *out++ = HUGE_VALF;")
    lines.append("*out++ = HUGE_VALH; *out++ = float(HUGE_VALBF); *out++ = sizeof(M_PI_H) + 10 * sizeof(M_PI_BF);")
    text = HEAD + "kernel void k(device float* out) {\n" + "\n".join(lines) + "}"
    library = emulator.library(text, mode="plain")
    (out,) = library.run("k", {0: np.zeros(64, np.float32)}, (1, 1, 1), (1, 1, 1), outputs=[0])
    got = out.tolist()
    for i, (suffix, eps) in enumerate(suffixes.items()):
        np.testing.assert_allclose(got[i * 13 : i * 13 + 13], list(CONSTANTS.values()), rtol=eps, err_msg=suffix)
    top = np.float32
    assert got[39:46] == [top(3.40282346638528859812e38), 65504, top(3.38953138925153547590e38), *[np.inf] * 3, 22]


@pytest.mark.parametrize("name", [name for names in chapter6.REFUSED.values() for name in names])
def test_what_needs_a_render_pass_is_refused_by_name(name):
    argument = "" if name in ("discard_fragment", "get_num_samples") else "0u" if "position" in name else "y[0]"
    text = f"{HEAD}kernel void k(device float* y) {{ (void){name}({argument}); }}"
    with pytest.raises(emulator.KernelError, match=name):
        emulator.library(text).run("k", {0: np.zeros(1, np.float32)}, (1, 1, 1), (1, 1, 1))
