// gelu(x) = x Phi(x) with the exact (erf) normal distribution, in float32, without erf or exp (MSL has no erf).
//
//   |x| < 0.5         x / 2 + x^2 P(x^2)                  P: Phi's odd part over x
//   0.5 <= |x| <= 1   x Q or x (1 - Q), Q = 1 - Phi(|x|)  in powers of |x| - 0.75
//   1 < |x| <= 5.75   the same                            in powers of |x| - 3.375
//   beyond            x or -0: |x| Q < 2^-24 there
//
// Three pieces, because x times a rounded Phi loses most where Phi is just above a power of two: at x = 0. Error: at
// most 2 ulp for x >= -1, 2^-23 absolute below. gelu(-0) = -0, gelu(inf) = inf, gelu(-inf) = -0 (the limit), NaN stays
// NaN. Coefficients: Chebyshev interpolation, `python docs/derive_erf_gelu.py`.
#pragma once

constant constexpr float kGeluCentre[] = {0.398942292f, -0.0664903745f, 0.00997344684f, -0.00118608458f,
                                          0.000109697401f};
constant constexpr float kGeluKnee[] = {0.22662735f,    -0.301137447f,   0.112926528f,  0.0219590906f,
                                        -0.0229372066f, 0.000109990156f, 0.00300812605f};
constant constexpr float kGeluTail[] = {
    0.000369078451f, -0.00134110195f,  0.00226313667f,   -0.00232265517f, 0.0015824415f,    -0.000719400647f,
    0.000193842978f, -8.19999059e-06f, -1.74470479e-05f, 7.56313648e-06f, -9.39548954e-07f, -4.04526673e-07f,
    1.68338786e-07f, -1.19085863e-09f, -8.21111534e-09f, 5.16340526e-10f, 1.49519661e-10f};

// c[0] + c[1] t + ... + c[N - 1] t^(N - 1)
template <int N>
METAL_FUNC float polynomial(constant const float* c, float t) {
  float sum = c[N - 1];
  for (int i = N - 2; i >= 0; --i) {
    sum = fma(sum, t, c[i]);
  }
  return sum;
}

METAL_FUNC float erf_gelu(float x) {
  const float a = fabs(x);
  float y;
  if (a < 0.5f) {
    y = fma(x * x, polynomial<5>(kGeluCentre, x * x), 0.5f * x);
  } else {
    float q = a <= 1.0f ? polynomial<7>(kGeluKnee, a - 0.75f) : polynomial<17>(kGeluTail, a - 3.375f);
    q = a > 5.75f ? 0.0f : q;
    // -inf * 0 would be NaN
    y = x < 0 ? (q == 0.0f ? 0.0f : x * q) : x * (1.0f - q);
  }
  return copysign(y, x);
}
