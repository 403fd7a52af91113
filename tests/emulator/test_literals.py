"""An unsuffixed literal is a float everywhere: Metal has no double (2.1)."""

import numpy as np
import pytest

from voxtral_kernels import emulator

TEXT = """
#include <metal_stdlib>
using namespace metal;
constant constexpr float tenth = 0.1;
template <typename T> T scaled(T x) { return T(x * 0.1); }
template <typename T> uint width(T x) { return sizeof(x * 0.5); }
template <typename T> T twice_one(T x) { return x + 1.0 + 1.0; }
template <typename T> T chosen(bool c, T x) { return c ? x : 0.3; }
template <typename T> uint chosen_width(bool c, T x) { return sizeof(c ? x : 0.3); }
template <typename T, typename U> U product(T x, U y) { return x * y; }
template <int N> float root() { constexpr float r = 1.0 / N; return r * 3.3; }
template <typename T> struct Constants { static constexpr constant float k = 0.7; };
uint overloaded(float) { return 1; }
uint overloaded(half) { return 2; }
template <typename T> uint call(T) { return overloaded(0.5); }
kernel void k(device const float* x, device float* y, device uint* n, uint i [[thread_position_in_grid]]) {
  device float* row = y + i * 12;
  row[0] = scaled(x[i]);
  row[1] = twice_one(x[i]);
  row[2] = chosen(i < 0, x[i]);
  row[3] = product(x[i], 0.2);
  row[4] = float(scaled(half(x[i])));
  row[5] = float(bfloat(float(scaled(bfloat(x[i])))));
  row[6] = root<7>() * tenth * Constants<int>::k;
  row[7] = metal::fma(x[i], 0x1.99999ap-4, 1e-1);
  row[8] = x[i] * .1e0 + 1.;
  row[9] = max(x[i], 0.1) * 1'0.0;
  row[10] = float(half(0.1) * x[i]);
  row[11] = half(x[i]) * 0.1;
  if (i == 0) {
    n[0] = width(1.0f);
    n[1] = width(half(1));
    n[2] = width(bfloat(1.0f));
    n[3] = chosen_width(true, half(1));
    n[4] = call(1);
    n[5] = sizeof(0.5) + sizeof(0.5h) * 10;
  }
}
"""


@pytest.mark.parametrize("mode", ["plain", "checked"])
def test_literals_are_floats(mode):
    f, h = np.float32, np.float16
    x = np.concatenate([np.linspace(-3, 3, 63, dtype=f), [f(2**24)]])
    y, n = emulator.library(TEXT, mode=mode).run(
        "k", {0: x, 1: np.zeros((64, 12), f), 2: np.zeros(6, np.uint32)}, (64, 1, 1), (64, 1, 1), outputs=[1, 2]
    )
    with np.errstate(over="ignore"):
        as_half = x.astype(h)
        as_bfloat = ((x.view(np.uint32) + 0x7FFF + ((x.view(np.uint32) >> 16) & 1)) & 0xFFFF0000).view(f)
        product = (as_bfloat * f(0.1)).view(np.uint32)
        want = np.stack(
            [
                x * f(0.1),
                x + f(1) + f(1),
                np.full_like(x, f(0.3)),
                x * f(0.2),
                (as_half.astype(f) * f(0.1)).astype(h).astype(f),
                ((product + 0x7FFF + ((product >> 16) & 1)) & 0xFFFF0000).view(f),
                np.full_like(x, f(1) / f(7) * f(3.3) * f(0.1) * f(0.7)),
                (x.astype(np.float64) * f(0.1) + f(0.1)).astype(f),
                x * f(0.1) + f(1),
                np.maximum(x, f(0.1)) * f(10),
                f(h(0.1)) * x,
                as_half.astype(f) * f(0.1),
            ],
            axis=1,
        )
    np.testing.assert_array_equal(np.array(y), want)
    assert n.tolist() == [4, 4, 4, 4, 1, 24]
