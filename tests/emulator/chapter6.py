"""The functions of the specification's chapter 6 that need no texture, as data: how each is called, what it gives.

``x``, ``y``, ``z`` and ``w`` are of one type T. An oracle computes in float64, or in exact integers. corpus.py writes
the table of docs/emulator.md from this, test_chapter6.py runs it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Function(NamedTuple):
    """One function: what is computed from x, y, z; its truth; ulps of the type that a result may be off."""

    section: str
    name: str
    call: str
    truth: Callable[..., Any]
    ulps: float = 1


def f(section: str, call: str, truth: Callable[..., Any], ulps: float = 1) -> Function:
    return Function(section, call.split("(")[0], call, truth, ulps)


def _smoothstep(x, y, z):
    t = np.clip((z - x) / (y - x), 0, 1)
    return t * t * (3 - 2 * t)


# x in -3 .. 3, y in 0.5 .. 2, z in -1 .. 4, w in 2 .. 4.
FLOAT = [
    f("6.2", "clamp(x, y, w)", lambda x, y, z, w: np.clip(x, y, w)),
    f("6.2", "mix(x, y, z)", lambda x, y, z, w: x + (y - x) * z, 12),
    f("6.2", "saturate(x)", lambda x, y, z, w: np.clip(x, 0, 1)),
    f("6.2", "sign(x)", lambda x, y, z, w: np.sign(x)),
    f("6.2", "smoothstep(y, w, z)", lambda x, y, z, w: _smoothstep(y, w, z), 8),
    f("6.2", "step(x, z)", lambda x, y, z, w: np.where(z < x, 0, 1)),
    f("6.4", "select(x, y, z > x)", lambda x, y, z, w: np.where(z > x, y, x)),
    f("6.5", "abs(x)", lambda x, y, z, w: np.abs(x)),
    f("6.5", "acos(x / 4)", lambda x, y, z, w: np.arccos(x / 4), 4),
    f("6.5", "acosh(w)", lambda x, y, z, w: np.arccosh(w), 4),
    f("6.5", "asin(x / 4)", lambda x, y, z, w: np.arcsin(x / 4), 4),
    f("6.5", "asinh(x)", lambda x, y, z, w: np.arcsinh(x), 4),
    f("6.5", "atan(x)", lambda x, y, z, w: np.arctan(x), 4),
    f("6.5", "atan2(x, y)", lambda x, y, z, w: np.arctan2(x, y), 4),
    f("6.5", "atanh(x / 4)", lambda x, y, z, w: np.arctanh(x / 4), 4),
    f("6.5", "ceil(x)", lambda x, y, z, w: np.ceil(x)),
    f("6.5", "copysign(y, x)", lambda x, y, z, w: np.copysign(y, x)),
    f("6.5", "cos(x)", lambda x, y, z, w: np.cos(x), 4),
    f("6.5", "cosh(x)", lambda x, y, z, w: np.cosh(x), 4),
    f("6.5", "cospi(x)", lambda x, y, z, w: np.cos(np.pi * x), 4),
    f("6.5", "divide(x, y)", lambda x, y, z, w: x / y),
    f("6.5", "exp(x)", lambda x, y, z, w: np.exp(x), 4),
    f("6.5", "exp2(x)", lambda x, y, z, w: np.exp2(x), 4),
    f("6.5", "exp10(x)", lambda x, y, z, w: 10.0**x, 4),
    f("6.5", "fabs(x)", lambda x, y, z, w: np.abs(x)),
    f("6.5", "fdim(x, z)", lambda x, y, z, w: np.maximum(x - z, 0)),
    f("6.5", "floor(x)", lambda x, y, z, w: np.floor(x)),
    f("6.5", "fma(x, y, z)", lambda x, y, z, w: x * y + z),
    f("6.5", "fmax(x, z)", lambda x, y, z, w: np.maximum(x, z)),
    f("6.5", "fmax3(x, y, z)", lambda x, y, z, w: np.max([x, y, z], axis=0)),
    f("6.5", "fmedian3(x, y, z)", lambda x, y, z, w: np.median([x, y, z], axis=0)),
    f("6.5", "fmin(x, z)", lambda x, y, z, w: np.minimum(x, z)),
    f("6.5", "fmin3(x, y, z)", lambda x, y, z, w: np.min([x, y, z], axis=0)),
    f("6.5", "fmod(z, y)", lambda x, y, z, w: np.fmod(z, y)),
    f("6.5", "fract(x)", lambda x, y, z, w: x - np.floor(x)),
    f("6.5", "ldexp(x, 3)", lambda x, y, z, w: x * 8),
    f("6.5", "log(y)", lambda x, y, z, w: np.log(y), 4),
    f("6.5", "log2(y)", lambda x, y, z, w: np.log2(y), 4),
    f("6.5", "log10(y)", lambda x, y, z, w: np.log10(y), 4),
    f("6.5", "max(x, z)", lambda x, y, z, w: np.maximum(x, z)),
    f("6.5", "max3(x, y, z)", lambda x, y, z, w: np.max([x, y, z], axis=0)),
    f("6.5", "median3(x, y, z)", lambda x, y, z, w: np.median([x, y, z], axis=0)),
    f("6.5", "min(x, z)", lambda x, y, z, w: np.minimum(x, z)),
    f("6.5", "min3(x, y, z)", lambda x, y, z, w: np.min([x, y, z], axis=0)),
    f("6.5", "pow(y, x)", lambda x, y, z, w: y**x, 16),
    f("6.5", "powr(y, x)", lambda x, y, z, w: y**x, 16),
    f("6.5", "rint(x)", lambda x, y, z, w: np.rint(x)),
    f("6.5", "round(x)", lambda x, y, z, w: np.trunc(x + np.copysign(0.5, x))),
    f("6.5", "rsqrt(y)", lambda x, y, z, w: 1 / np.sqrt(y), 2),
    f("6.5", "sin(x)", lambda x, y, z, w: np.sin(x), 4),
    f("6.5", "sinh(x)", lambda x, y, z, w: np.sinh(x), 4),
    f("6.5", "sinpi(x)", lambda x, y, z, w: np.sin(np.pi * x), 4),
    f("6.5", "sqrt(y)", lambda x, y, z, w: np.sqrt(y)),
    f("6.5", "tan(x)", lambda x, y, z, w: np.tan(x), 6),
    f("6.5", "tanh(x)", lambda x, y, z, w: np.tanh(x), 5),
    f("6.5", "tanpi(x)", lambda x, y, z, w: np.tan(np.pi * x), 6),
    f("6.5", "trunc(x)", lambda x, y, z, w: np.trunc(x)),
    # Of two results each is asked for by a helper of test_chapter6.py.
    f("6.5", "frexp_value(x)", lambda x, y, z, w: np.frexp(x)[0]),
    f("6.5", "frexp_exponent(x)", lambda x, y, z, w: np.frexp(x)[1]),
    f("6.5", "ilogb_value(x)", lambda x, y, z, w: np.frexp(x)[1] - 1),
    f("6.5", "modf_value(x)", lambda x, y, z, w: x - np.trunc(x)),
    f("6.5", "modf_whole(x)", lambda x, y, z, w: np.trunc(x)),
    f("6.5", "sincos_value(x)", lambda x, y, z, w: np.sin(x), 4),
    f("6.5", "sincos_cosine(x)", lambda x, y, z, w: np.cos(x), 4),
    f("6.5", "nextafter_up(x)", lambda x, y, z, w: x, 1),
]


def _signed(n: int, bits: int) -> int:
    n &= (1 << bits) - 1
    return n - (1 << bits) if n >> (bits - 1) else n


class Width(NamedTuple):
    """An integer type of the oracles."""

    name: str
    bits: int
    signed: bool

    def wrap(self, n: int) -> int:
        return _signed(n, self.bits) if self.signed else n & ((1 << self.bits) - 1)

    def held(self, n: int) -> int:
        low = -(1 << (self.bits - 1)) if self.signed else 0
        return min(max(n, low), low + (1 << self.bits) - 1)

    def raw(self, n: int) -> int:
        return n & ((1 << self.bits) - 1)


INTEGERS = [
    Width(name, bits, signed)
    for bits, pair in (
        (8, ("char", "uchar")),
        (16, ("short", "ushort")),
        (32, ("int", "uint")),
        (64, ("long", "ulong")),
    )
    for name, signed in zip(pair, (True, False), strict=True)
]


def i(call: str, truth: Callable[..., Any]) -> Function:
    return Function("6.3", call.split("(")[0], call, truth)


def _reversed(n: int, t: Width) -> int:
    return int(f"{t.raw(n):0{t.bits}b}"[::-1], 2)


def _rotated(n: int, by: int, t: Width) -> int:
    return t.raw(n) << by | t.raw(n) >> (t.bits - by)


def _inserted(x: int, y: int, t: Width) -> int:
    return x & ~(7 << 3) | (y & 7) << 3


# x and y of the whole range, z in 0 .. 100; the oracle takes them and the type, its result is wrapped to the type.
INTEGER = [
    i("abs(x)", lambda x, y, z, t: abs(x)),
    i("absdiff(x, y)", lambda x, y, z, t: abs(x - y)),
    i("addsat(x, y)", lambda x, y, z, t: t.held(x + y)),
    i("clamp(x, T(0), z)", lambda x, y, z, t: min(max(x, 0), z)),
    i("clz(x)", lambda x, y, z, t: t.bits - t.raw(x).bit_length()),
    i("ctz(x)", lambda x, y, z, t: (t.raw(x) & -t.raw(x)).bit_length() - 1 if t.raw(x) else t.bits),
    i("extract_bits(x, 2, 5)", lambda x, y, z, t: _signed(x >> 2, 5) if t.signed else x >> 2 & 31),
    i("hadd(x, y)", lambda x, y, z, t: (x + y) >> 1),
    i("insert_bits(x, y, 3, 3)", lambda x, y, z, t: _inserted(x, y, t)),
    i("madhi(x, y, z)", lambda x, y, z, t: (x * y >> t.bits) + z),
    i("madsat(x, y, z)", lambda x, y, z, t: t.held(x * y + z)),
    i("max(x, y)", lambda x, y, z, t: max(x, y)),
    i("max3(x, y, z)", lambda x, y, z, t: max(x, y, z)),
    i("median3(x, y, z)", lambda x, y, z, t: sorted((x, y, z))[1]),
    i("min(x, y)", lambda x, y, z, t: min(x, y)),
    i("min3(x, y, z)", lambda x, y, z, t: min(x, y, z)),
    i("mulhi(x, y)", lambda x, y, z, t: x * y >> t.bits),
    i("popcount(x)", lambda x, y, z, t: t.raw(x).bit_count()),
    i("reverse_bits(x)", lambda x, y, z, t: _reversed(x, t)),
    i("rhadd(x, y)", lambda x, y, z, t: (x + y + 1) >> 1),
    i("rotate(x, T(3))", lambda x, y, z, t: _rotated(x, 3, t)),
    i("select(x, y, z > T(50))", lambda x, y, z, t: y if z > 50 else x),
    i("subsat(x, y)", lambda x, y, z, t: t.held(x - y)),
]
# For int and uint only, of 24 bits.
INTEGER_24 = [
    i("mul24(x, y)", lambda x, y, z, t: (x << 8 >> 8) * (y << 8 >> 8) if t.signed else (x & 0xFFFFFF) * (y & 0xFFFFFF)),
    i("mad24(x, y, z)", lambda x, y, z, t: x * y + z),
]
# Named in test_chapter6.py, which asks for them one by one.
RELATIONAL = [
    "all",
    "any",
    "isfinite",
    "isinf",
    "isnan",
    "isnormal",
    "isordered",
    "isunordered",
    "not",
    "select",
    "signbit",
]
MATRIX = ["determinant", "transpose"]
GEOMETRIC = [
    "cross",
    "distance",
    "distance_squared",
    "dot",
    "faceforward",
    "length",
    "length_squared",
    "normalize",
    "reflect",
    "refract",
]
PACK = [
    *(f"{way}_{kind}" for kind in ("unorm4x8", "snorm4x8", "unorm2x16", "snorm2x16", "unorm10a2", "unorm565")
      for way in ("pack_T_to", "unpack")),
    "pack_T_to_srgb_unorm4x8", "unpack_unorm4x8_srgb",
]  # fmt: skip
# Need what the emulator does not have; refused by name.
REFUSED = {
    "6.10": ["dfdx", "dfdy", "fwidth", "discard_fragment", "get_num_samples", "get_sample_position"],
}


def table() -> list[str]:
    """The rows of docs/emulator.md: what is there, for which types."""
    single = sorted({f.name.rpartition("_")[0] if f.name.endswith(("_value", "_up")) else f.name for f in FLOAT
                     if not f.name.endswith(("_whole", "_cosine", "_exponent"))})  # fmt: skip
    floats, vectors = "float, half, their vectors", "every integer type and its vectors"
    rows = [
        ("6.2, 6.4, 6.5", single, floats),
        ("6.3", sorted(f.name for f in INTEGER), vectors),
        ("6.3", sorted(f.name for f in INTEGER_24), "int, uint, their vectors"),
        ("6.4", RELATIONAL, "bool, float, half, their vectors"),
        ("6.6", MATRIX, "matrices of float and half"),
        ("6.8", GEOMETRIC, "vectors of float and half"),
        ("6.14", PACK, "T: float, half"),
        ("6.10", REFUSED["6.10"], "refused: a compute kernel has none"),
    ]
    return ["| section | functions | types |", "| --- | --- | --- |"] + [
        f"| {section} | {' '.join(f'`{name}`' for name in names)} | {types} |" for section, names, types in rows
    ]
