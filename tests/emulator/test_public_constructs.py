"""What public kernels write and the host's compiler does not take as it stands, in words of our own, with values.

One text for all, so that one compilation serves: a test per kernel.
"""

import numpy as np
import pytest

from voxtral_kernels import emulator

TEXT = """#include <metal_stdlib>
#pragma METAL internals : enable
using namespace metal;
#define LEAST(a, b) ((a) < (b) ? (a) : (b))

struct Pair { float a, b; };
template <typename T> struct Sum {
  T s; int n;
  constexpr Sum<T>() = default;
  constexpr Sum<T>() threadgroup = default;
  constexpr Sum<T>(T x) : s(x), n(1) {}
};
struct Corner { int row, column; };
inline float area(float3 v) { return v.x * v.y * v.z; }
inline float area(uint n) { return n; }
inline int flat(Corner c, int width) { return c.row * width + c.column; }
kernel void braces_as_arguments(device float* y) {
  uint n = 2;
  y[0] = area({1.0f, n + 1, 4}); y[1] = flat({2, 3}, 10); y[2] = area(uint(7));
}

kernel void several_with_braces(device float* y) {
  float4 a = {1.f}, b = {2.f, 3.f}; float2 c{4}, d(5), e[2] = {{6, 7}, {8, 9}};
  float2 f{
      max(1.f, 2.f),
      3.f,
  };
  y[0] = a.x + a.w; y[1] = b.y + b.z; y[2] = c.x + d.y; y[3] = e[1].y; y[4] = f.x + f.y + float2{4.f, 5.f,}.y;
}

constexpr constant float levels[4] = {1, 2, 4, 8};
inline float third(constant float* table) { return table[2]; }
inline int plus_one(constant int& n) { return n + 1; }
inline int next(const constant int& n) { return plus_one(n); }
kernel void constant_is_const(device float* y, constant int& n [[buffer(1)]]) { y[0] = third(levels); y[1] = next(n); }

template <typename T> using step_of = void (*)(thread T&, T);
template <typename T> void add(thread T& x, T by) { x += by; }
template <typename T, int N, step_of<T> step> T repeat(thread T& x, thread T* last) {
  for (int i = 0; i < N; ++i) step(x, T(2));
  *last = x;
  return x;
}
kernel void a_named_function_type(device float* y) {
  float x = 1, last;
  y[0] = repeat<float, 3, add<float>>(x, &last); y[1] = last;
}

constant Pair zero = {0, 0.5f};
template <typename T> struct Start { static constexpr constant T value = T{3, 4}; };
template <typename T> void choose(device T* p, uint i, T other) { p[i + 1] = i > 0 ? p[0] : other; p[3] = zero; }
kernel void structures_across_spaces(device float* y, device Pair* p [[buffer(1)]]) {
  p[0] = Start<Pair>::value;
  choose(p, 0, Pair{1, 2}); choose(p, 1, Pair{1, 2});
  y[0] = p[1].b; y[1] = p[2].b; y[2] = p[3].b; y[3] = p[0].a;
  threadgroup Sum<float> shared; shared = Sum<float>(5); y[4] = shared.s + shared.n;
}

kernel void a_wider_scalar(device float* y, device half4* h [[buffer(1)]]) {
  float s = 1.0f + 1.0f / 4096, t = 0.5f;
  half4 v = half4(1, 2, 3, 4);
  half4 w = v * s + t * v;
  h[0] = v - t;
  h[0] *= s;
  w /= s;
  y[0] = w.z; y[1] = h[0].y; y[2] = sizeof(v * s); y[3] = (y[0] > 0 ? v * s : 0.0f).w; y[4] = (s / half2(0.5h)).x;
}

struct Tagged { float value; int tag; };
template <> struct metal::_numeric_limits_impl<Tagged> {
  static constexpr Tagged lowest() { return Tagged{numeric_limits<float>::lowest(), 9}; }
};
template <typename T> constexpr int width() { return vec_elements<T>::value; }
kernel void limits_of_our_own(device float* y) {
  y[0] = numeric_limits<Tagged>::lowest().tag; y[1] = width<half4>() * 10 + width<int>();
  y[2] = numeric_limits<half>::max();
}

template <int N> struct Table { static constexpr constant float rows[2][2] = {{1, 2}, {3, 4}}; };
constant constexpr float Table<4>::rows[2][2];
kernel void a_member_named_again(device float* y) {
#pragma unroll (LEAST(2, 4))
  for (int i = 0; i < 2; ++i) y[i] = Table<4>::rows[1][i];
}

template <typename T, int N> kernel void by_arguments(device T* y, const array<T, N> device* x [[buffer(1)]]) {
  y[0] = x[0][N - 1] + sizeof(T) * 100 + N;
}
template [[host_name("by_half")]] kernel void by_arguments(device half*, const array<half, 3> device* x);
template [[host_name("by_float")]] [[kernel]] void by_arguments(device float*, const array<float, 2> device*);

namespace mine { namespace metal {
struct Shape { ::metal::array<int, 3> sizes; bool2 flags; };
template <typename F, typename... A> using result = decltype(::metal::declval<F>()(::metal::declval<A>()...));
template <typename T> struct Wide { using type = ::metal::vec<float, 2>; };
template <typename T> using pair_of = typename Wide<T>::type;
struct Turn {
  template <typename T> pair_of<T> operator()(T x, T y) { return pair_of<T>(y, -x); }
};
template <typename F, typename T> kernel void of_functor(device result<F, T, T>* y, constant T* x [[buffer(1)]]) {
  threadgroup float4 shared; shared = float4(x[0], x[1], ::metal::float2(7, 8));
  int2 whole = static_cast<int2>(float2{1.5f, 2.5f}) + int2((::metal::float2)(shared.zw));
  y[0] = F()(x[0], T(shared.y)); y[1] = float2(whole); y[2] = select(y[0], y[1], bool2(true, false));
}
} }
template [[host_name("of_functor_float")]] kernel void ::mine::metal::
  of_functor<mine::metal::Turn, float>(device float2*, constant float*);

inline int total(array<int, 3> sizes) { return sizes[0] + sizes[1] + sizes[2]; }
kernel void an_array_of_the_library(device float* y, constant mine::metal::Shape& shape [[buffer(1)]]) {
  array<int, 3> copy = shape.sizes, other = {1, 2, 3}; auto first = shape.sizes.data();
  other = shape.sizes; other.data()[1] += 1;
  y[0] = total(shape.sizes); y[1] = first[2]; y[2] = total(copy) + total(other);
}

template <typename T> void fill(T to[2], T value) { to[0] = value; to[1] = value + 1; }
template <typename T, float2 (*f)(T, uint2)> float second(T x) { return f(x, uint2(3, 4)).y; }
inline float2 scaled(float x, uint2 by) { return x * float2(by); }
template <typename T, typename U>
enable_if_t<is_integral_v<T>&& is_integral_v<U>, T> least(T a, U b) { return min(a, T(b)); }
kernel void arrays_and_functions_to_templates(device float* y) {
  float part[2]; fill(part, 5.0f);
  y[0] = part[0]; y[1] = part[1]; y[2] = second<float, scaled>(2); y[3] = least(9, 7u);
}

template <typename T> T sum_of(T v) {
  using wide = typename mine::metal::Wide<T>::type;
  const wide w = wide(v) * 2; decltype(w.x) left = w.x; left += w.y;
  return T(left, 0);
}
kernel void one_precision(device float* y) {
  half h = 1; bfloat b = bfloat(-3.0f);
  y[0] = precise::log(1); y[1] = precise::atan2(h, 1.0f); y[2] = precise::abs(b); y[3] = sizeof(fast::exp(h));
  y[4] = precise::sqrt(half2(4, 9)).y; y[5] = sum_of(half2(1, 2)).x;
  y[6] = is_floating_point_v<half2> + 2 * is_integral_v<uint3>;
  y[6] += 4 * is_arithmetic_v<float2> + 8 * is_integral_v<float2>;
}
"""
CASES = {
    "braces_as_arguments": [12, 23, 7],
    "several_with_braces": [1, 3, 9, 9, 10],
    "constant_is_const": [4, 8],
    "a_named_function_type": [7, 7],
    "structures_across_spaces": [2, 4, 0.5, 3, 6],
    "a_wider_scalar": [4.5, 1.5, 8, 4, 2],
    "limits_of_our_own": [9, 40, 65504],
    "a_member_named_again": [3, 4],
    "by_float": [6 + 400 + 2],
    "of_functor_float": [6, -6, 8, 10, 8, -6],
    "an_array_of_the_library": [18, 6, 37],
    "arrays_and_functions_to_templates": [5, 6, 8, 7],
    "one_precision": [0, np.float32(np.pi / 4), 3, 4, 3, 6, 3],
}


@pytest.fixture(scope="module")
def library():
    return emulator.library(TEXT, path="public.metal", entries=["by_float", "by_half", "of_functor_float"])


@pytest.mark.parametrize("name", CASES)
def test_value(library, name):
    whole = {"constant_is_const": [7, 0], "an_array_of_the_library": [6, 6, 6, 0]}
    given = np.array(whole[name], np.int32) if name in whole else np.full(32, 6, np.float32)
    outputs = [0, 1] if name in ("structures_across_spaces", "a_wider_scalar") else [0]
    out = library.run(name, {0: np.zeros(8, np.float32), 1: given}, (1, 1, 1), (1, 1, 1), outputs=outputs)
    assert out[0].tolist()[: len(CASES[name])] == CASES[name]


def test_an_instance_of_half_by_its_arguments(library):
    (out,) = library.run(
        "by_half", {0: np.zeros(1, np.float16), 1: np.ones(3, np.float16)}, (1,) * 3, (1,) * 3, outputs=[0]
    )
    assert out.tolist() == [1 + 200 + 3]


REFUSED = {
    "no matching function": """inline float f(float2 v) { return v.x; }
        kernel void k(device float* y) { y[0] = f({1, 2, 3}); }""",
    "read-only": """inline void f(constant float* p) { p[0] = 1; }
        kernel void k(constant float* p, device float* y) { f(p); }""",
    "implicit conversions between vector types": """kernel void k(device float* y) {
        half4 a = 1; float4 b = 2; a = a * b; }""",
    "incompatible operand types|ambiguous": """struct A { int x; }; struct B { int x; };
        kernel void k(device float* y) { A a = {1}; B b = {2}; y[0] = (y[1] > 0 ? a : b).x; }""",
    "texture": "kernel void k(texture2d<float> t [[texture(0)]], device float* y) { y[0] = 1; }",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_apple_refuses_stays_refused(words):
    with pytest.raises(emulator.KernelError, match=words):
        emulator.library(f"#include <metal_stdlib>\nusing namespace metal;\n{REFUSED[words]}").check()
