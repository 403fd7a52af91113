"""The Metal standard library against NumPy: one kernel for each group of functions."""

import mlx.core as mx
import numpy as np
import pytest

from voxtral_kernels import emulator

HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"

# Metal's expression of x (and y), NumPy's.
MATH = {
    "exp(x)": np.exp,
    "exp2(x)": np.exp2,
    "exp10(x)": lambda x: 10**x,
    "log(fabs(x))": lambda x: np.log(np.abs(x)),
    "log2(fabs(x))": lambda x: np.log2(np.abs(x)),
    "log10(fabs(x))": lambda x: np.log10(np.abs(x)),
    "sin(x)": np.sin,
    "cos(x)": np.cos,
    "tan(x)": np.tan,
    "sinpi(x)": lambda x: np.sin(np.pi * x),
    "cospi(x)": lambda x: np.cos(np.pi * x),
    "sinh(x)": np.sinh,
    "cosh(x)": np.cosh,
    "tanh(x)": np.tanh,
    "asin(x / 4)": lambda x: np.arcsin(x / 4),
    "acos(x / 4)": lambda x: np.arccos(x / 4),
    "atan(x)": np.arctan,
    "asinh(x)": np.arcsinh,
    "acosh(1 + fabs(x))": lambda x: np.arccosh(1 + np.abs(x)),
    "atanh(x / 4)": lambda x: np.arctanh(x / 4),
    "sqrt(fabs(x))": lambda x: np.sqrt(np.abs(x)),
    "rsqrt(fabs(x))": lambda x: 1 / np.sqrt(np.abs(x)),
    "precise::rsqrt(x * x)": lambda x: 1 / np.abs(x),
    "fast::exp(x)": np.exp,
    "floor(x)": np.floor,
    "ceil(x)": np.ceil,
    "trunc(x)": np.trunc,
    "rint(x)": np.rint,
    "fabs(x)": np.abs,
    "abs(x)": np.abs,
    "fract(x)": lambda x: x - np.floor(x),
    "saturate(x)": lambda x: np.clip(x, 0, 1),
    "sign(x)": np.sign,
    "pow(fabs(x), y)": lambda x, y: np.abs(x) ** y,
    "atan2(x, y)": np.arctan2,
    "fmod(x, y)": np.fmod,
    "fmin(x, y)": np.minimum,
    "max(x, y)": np.maximum,
    "clamp(x, -y, y)": lambda x, y: np.clip(x, -y, y),
    "copysign(y, x)": lambda x, y: np.copysign(y, x),
    "step(y, x)": lambda x, y: (x >= y) * 1.0,
    "mix(x, y, x / 4)": lambda x, y: x + (y - x) * x / 4,
    "fma(x, y, x)": lambda x, y: x * y + x,
    "fdim(x, y)": lambda x, y: np.maximum(x - y, 0),
    "divide(x, y)": lambda x, y: x / y,
    "median3(x, y, x * y)": lambda x, y: np.median([x, y, x * y], axis=0),
    "ldexp(x, 3)": lambda x: x * 8,
    "select(x, y, x > y)": lambda x, y: np.where(x > y, y, x),
}


def run(text, x, y, shape, dtype=np.float32, **kwargs):
    library = emulator.library(HEAD + text)
    buffers = {0: x, 1: y, 2: np.zeros(shape, dtype)}
    (out,) = library.run("k", buffers, (len(x), 1, 1), (len(x), 1, 1), outputs=[2], uninitialised=[2], **kwargs)
    return np.array(out)


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(1)
    return rng.uniform(-3, 3, 32).astype(np.float32), rng.uniform(0.5, 2, 32).astype(np.float32)


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("scalar", ["float", "half"])
def test_math_functions(values, scalar, width):
    x, y = values
    type_ = scalar if width == 1 else f"{scalar}{width}"
    names = [n for n in MATH if width == 1 or not n.startswith(("select", "ldexp"))]
    lines = [f"{type_} x = {type_}(a[i]), y = {type_}(b[i]);"]
    for j, name in enumerate(names):
        last = name if width == 1 else f"({name})[{width - 1}]"
        lines.append(f"out[i * {len(names)} + {j}] = float({last});")
    text = "kernel void k(const device float* a, const device float* b, device float* out,\n"
    text += "uint i [[thread_position_in_grid]]) {\n" + "\n".join(lines) + "\n}"
    got = run(text, x, y, (32, len(names)))
    cast = np.float16 if scalar == "half" else np.float32
    xs, ys = (v.astype(cast).astype(np.float64) for v in (x, y))
    # One rounding to half for each operation of the expression; some of them magnify it.
    tolerance = 2e-6 if scalar == "float" else 8e-3
    for j, name in enumerate(names):
        expected = MATH[name](xs, ys) if "y" in name else MATH[name](xs)
        np.testing.assert_allclose(got[:, j], expected, rtol=tolerance, atol=tolerance, err_msg=name)


INTEGER = """
kernel void k(const device uint* a, const device uint* b, device int* out, uint i [[thread_position_in_grid]]) {
  uint x = a[i], y = b[i];
  device int* o = out + i * 16;
  o[0] = int(popcount(x)); o[1] = int(clz(x)); o[2] = int(ctz(x)); o[3] = int(reverse_bits(x));
  o[4] = int(mulhi(x, y)); o[5] = int(rotate(x, 5u)); o[6] = int(absdiff(x, y)); o[7] = int(hadd(x, y));
  o[8] = int(addsat(x, y)); o[9] = int(subsat(x, y)); o[10] = int(extract_bits(x, 4u, 8u));
  o[11] = int(insert_bits(x, y, 8u, 8u)); o[12] = min(int(x), int(y)); o[13] = abs(int(x));
  o[14] = int(mad24(x & 255, y & 255, 7u)); o[15] = as_type<int>(as_type<float>(x));
}
"""


def test_integer_functions():
    rng = np.random.default_rng(2)
    a, b = (rng.integers(1, 2**32, 32, dtype=np.uint64) for _ in range(2))
    got = run(INTEGER, a.astype(np.uint32), b.astype(np.uint32), (32, 16), np.int32).view(np.uint32)

    def expected(x, y):
        sx, sy = (v - 2**32 if v >= 2**31 else v for v in (x, y))
        bits = f"{x:032b}"
        return [
            bits.count("1"), 32 - x.bit_length(), 32 - len(bits.rstrip("0").rjust(0)) if x else 32, int(bits[::-1], 2),
            x * y >> 32, (x << 5 | x >> 27) & 0xFFFFFFFF, abs(x - y), (x + y) >> 1,
            min(x + y, 2**32 - 1), max(x - y, 0), x >> 4 & 255, (x & ~0xFF00) | (y & 255) << 8,
            min(sx, sy), abs(sx), (x & 255) * (y & 255) + 7, x,
        ]  # fmt: skip

    want = np.array([[v & 0xFFFFFFFF for v in expected(int(x), int(y))] for x, y in zip(a, b, strict=True)], np.uint32)
    np.testing.assert_array_equal(got, want)


VECTORS = """
struct Pair { packed_float3 position; half2 weights; };
constant float3 up = {0, 1, 0};
kernel void k(const device float* a, const device float* b, device float* out, uint i [[thread_position_in_grid]]) {
  float4 v(a[0], a[1], a[2], a[3]);
  float2 low = v.xy;
  float4 swapped = v.wzyx;
  v.xz = float2(10, 20);
  half4 h = half4(swapped);
  float4 built = float4(low, float2(7, 8));
  float3 c = cross(float3(1, 0, 0), up);
  int4 truncated = int4(float4(1.9, -1.9, 2.5, -2.5));
  bool4 larger = bool4(v > float4(5));
  Pair pair = {packed_float3(1, 2, 3), half2(0.5h, 2)};
  float3 unpacked = float3(pair.position) * float(pair.weights.y);
  float2x2 m = float2x2(float2(1, 2), float2(3, 4));
  float2 product = m * float2(5, 6);
  uchar4 bytes = as_type<uchar4>(0x04030201u);
  if (i == 0) {
    float values[] = {
      low.y, swapped.x, v.x, v.y, v.z, float(h.w), built.z, c.z, dot(v, float4(1)), length(float2(3, 4)),
      float(truncated.y), float(any(v > 15)), float(all(v > 15)), float(larger[0]), float(larger[1]), unpacked.z,
      product.x, product.y, float(bytes.z), float(sizeof(packed_float3)), select(float4(1), float4(2), v > 5).x,
      float(short(300)), float(uchar(300)), normalize(float3(0, 3, 4)).z, min(v, 11.0).z, b[0],
      float(simd_ballot(i < 4).all()), float(isnan(a[0] / 0 * 0)), float(1.0h / 3.0h), distance(low, float2(0)),
    };
    for (uint j = 0; j < 30; ++j) out[j] = values[j];
  }
}
"""


def test_vectors_and_structures():
    a = np.array([1, 2, 3, 4] + [0] * 28, np.float32)
    got = run(VECTORS, a, np.full(32, 9, np.float32), (30,), raise_findings=False)
    expected = [
        2, 4, 10, 2, 20, 1, 7, 1, 36, 5, -1, 1, 0, 1, 0, 6, 23, 34, 3, 12, 2, 300, 44, 0.8, 11, 9,
    ]  # fmt: skip
    np.testing.assert_allclose(got[:26], expected, rtol=1e-6)
    third = float(np.float16(1) / np.float16(3))
    np.testing.assert_allclose(got[27:], [1, third, np.sqrt(5)], rtol=1e-6)


ATOMICS = """
kernel void k(const device int* a, const device int* b, device atomic_int* out, uint i [[thread_position_in_grid]]) {
  threadgroup atomic_uint ticket;
  if (i == 0) atomic_store_explicit(&ticket, 0u, memory_order_relaxed);
  if (i < 8) atomic_store_explicit(&out[i], i == 2 ? -1 : 0, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_device_and_threadgroup);
  atomic_fetch_add_explicit(&out[0], a[i], memory_order_relaxed);
  atomic_fetch_max_explicit(&out[1], a[i], memory_order_relaxed);
  atomic_fetch_and_explicit(&out[2], ~(1 << i), memory_order_relaxed);
  atomic_fetch_or_explicit(&out[3], 1 << i, memory_order_relaxed);
  int expected = 0;
  atomic_compare_exchange_weak_explicit(&out[4], &expected, int(i) + 1, memory_order_relaxed, memory_order_relaxed);
  uint mine = atomic_fetch_add_explicit(&ticket, 1u, memory_order_relaxed);
  if (mine == 31) atomic_store_explicit(&out[5], 77, memory_order_relaxed);
  if (i == 3) atomic_exchange_explicit(&out[6], 5, memory_order_relaxed);
  if (i == 4) atomic_fetch_sub_explicit(&out[7], 6, memory_order_relaxed);
}
"""


def test_atomics():
    a = np.arange(32, dtype=np.int32)
    assert run(ATOMICS, a, a, (8,), np.int32).tolist() == [496, 31, 0, -1, 1, 77, 5, -6]


def test_bfloat_arithmetic_rounds_each_operation():
    text = HEAD + "kernel void k(const device bfloat* a, device bfloat* y, uint i [[thread_position_in_grid]]) {\n"
    text += "y[i] = a[i] * a[i] + bfloat(1.5bf);\n}"
    a = mx.random.normal((64,), key=mx.random.key(3)).astype(mx.bfloat16)
    args = (64, 1, 1), (64, 1, 1)
    (y,) = emulator.library(text).run("k", {0: a, 1: mx.zeros_like(a)}, *args, outputs=[1])
    square = (a.astype(mx.float32) * a.astype(mx.float32)).astype(mx.bfloat16)
    assert mx.array_equal(y, (square.astype(mx.float32) + 1.5).astype(mx.bfloat16))


def test_c_style_casts_of_vectors_bind_like_casts():
    text = """
    float4 twice(float4 v) { return v * 2; }
    kernel void k(const device half4* x, device half4* y, device float4* out, uint i [[thread_position_in_grid]]) {
      float4 a = (float4)x[i] * 2.0f + (float4)1;
      half4 b = (half4)-a;
      if (sizeof(float4) == 16) out[i] = (metal::float4)(b) + twice((vec<float, 4>)y[i]);
    }"""
    x = np.arange(16, dtype=np.float16)
    library = emulator.library(HEAD + text)
    out = np.zeros(16, np.float32)
    (got,) = library.run("k", {0: x, 1: x + 1, 2: out}, (4, 1, 1), (4, 1, 1), outputs=[2], uninitialised=[2])
    np.testing.assert_array_equal(np.array(got), -(2 * x + 1) + 2 * (x + 1))


def test_the_number_of_a_function_constant_may_be_a_sum_of_macros():
    text = """
    #define FIRST 600
    constant int factor [[function_constant(FIRST + 3)]];
    kernel void k(device int* out, uint i [[thread_position_in_grid]]) { out[i] = factor; }"""
    library = emulator.library(HEAD + text)
    buffers = {0: np.zeros(4, np.int32)}
    (got,) = library.run("k", buffers, (4, 1, 1), (4, 1, 1), outputs=[0], uninitialised=[0], constants={603: 7})
    assert np.array(got).tolist() == [7] * 4
