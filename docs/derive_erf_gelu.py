"""Derives the coefficients of kernels/common/erf_gelu.h and measures the result in float32.

    gelu(x) = x * Phi(x), Phi the standard normal distribution; Q(a) = 1 - Phi(a), a = |x|

    a < 0.5         x / 2 + x^2 P(x^2)     P(u) = (Phi(sqrt u) - 1/2) / sqrt u; one rounding at the end
    0.5 <= a <= 1   x * Q(a) or x * (1 - Q(a)), Q in powers of a - 0.75: near its centre the constant carries the result
    1 < a <= 5.75   the same with Q in powers of a - 3.375; beyond, Q is below 2^-23 / a and taken as 0

Three pieces, because a product with a rounded Phi loses most where Phi is just above a power of two (0.5 at x = 0).
Each polynomial interpolates at Chebyshev nodes in float64; the loss against the minimax one is a fraction of a bit.

    python docs/derive_erf_gelu.py        prints the tables of the header and the measured errors
"""

import math

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

SPLIT, KNEE, CUT = 0.5, 1.0, 5.75
upper_tail = np.vectorize(lambda a: math.erfc(a / math.sqrt(2)) / 2)


def centre_slope(u):
    """``P(u)``, with its limit at 0."""
    a = np.sqrt(np.maximum(u, 1e-12))
    return np.where(u < 1e-12, 1 / math.sqrt(2 * math.pi), (0.5 - upper_tail(a)) / a)


def fit(function, low, high, degree, centre):
    """Coefficients, lowest first, of the interpolant in powers of ``x - centre``, as float32."""
    chebyshev = Chebyshev.interpolate(function, degree, domain=[low, high])
    powers = chebyshev.convert(kind=Polynomial, domain=[-1, 1], window=[-1, 1])
    return powers(Polynomial([centre, 1])).coef.astype(np.float32)


def fma(a, b, c):
    return (a.astype(np.float64) * b.astype(np.float64) + c.astype(np.float64)).astype(np.float32)


def horner(coefficients, t):
    result = np.full(t.shape, coefficients[-1])
    for c in coefficients[-2::-1]:
        result = fma(result, t, c)
    return result


TABLES = {
    "kGeluCentre": fit(centre_slope, 0, SPLIT**2, 4, 0),
    "kGeluKnee": fit(upper_tail, SPLIT, KNEE, 6, (SPLIT + KNEE) / 2),
    "kGeluTail": fit(upper_tail, KNEE, CUT, 16, (KNEE + CUT) / 2),
}


def erf_gelu(x):
    """The header's arithmetic, operation by operation."""
    a, half = np.abs(x), np.float32(0.5)
    centre = fma(x * x, horner(TABLES["kGeluCentre"], x * x), half * x)
    knee = horner(TABLES["kGeluKnee"], a - np.float32((SPLIT + KNEE) / 2))
    tail = horner(TABLES["kGeluTail"], a - np.float32((KNEE + CUT) / 2))
    q = np.where(a <= KNEE, knee, np.where(a > CUT, np.float32(0), tail))
    return np.where(a < SPLIT, centre, x * np.where(x < 0, q, np.float32(1) - q))


def main():
    for name, table in TABLES.items():
        print(f"constant constexpr float {name}[] = {{{', '.join(f'{c:.9g}f' for c in table)}}};")
    x = np.concatenate([np.linspace(-7, 7, 4_000_001), -np.logspace(-30, 0, 100_000)]).astype(np.float32)
    exact = x.astype(np.float64) * upper_tail(-x.astype(np.float64))
    error = np.abs(erf_gelu(x) - exact)
    right = x >= -1
    print(f"x >= -1: {(error / np.spacing(np.abs(exact).astype(np.float32)))[right].max():.2f} ulp")
    print(f"x <  -1: {error[~right].max() * 2**23:.2f} * 2^-23")


if __name__ == "__main__":
    main()
