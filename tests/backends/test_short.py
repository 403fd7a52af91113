"""Short names: the same tokens but for the names that the files declare, the same lines, the same results."""

import importlib

import mlx.core as mx
import numpy as np
import pytest

from tests.backends.test_lean import BODIES
from voxtral_kernels import testing
from voxtral_kernels.backends import emulated, metal, short, source
from voxtral_kernels.backends.lean import uncommented
from voxtral_kernels.backends.shaders import Kernels

CODE = """#define GAIN 2
struct Pair {
  float first, second;
  METAL_FUNC float sum() const { return first + length(second); }
};
using Twice = Pair;
typedef Packed<T, V> Piece;
template <typename To, int N>
METAL_FUNC Packed<To, N> converted(const device To* given, thread float (&out)[N]) {
  for (uint lane = 0; lane < N; ++lane) {
    const auto packed = fma(given[lane] * scale, other > limit, 1.0f);
  }
  else return again;
  return never;
}
"""


def test_what_a_file_declares():
    own = {"Pair", "first", "sum", "Twice", "Piece", "To", "N", "converted", "given", "lane", "packed"}
    assert short.declared(CODE) == own


def both(stem):
    file = source._file_of(stem)
    return (source.header(file, stem), source.body(file, stem)), source.shortened(stem)


@pytest.mark.parametrize(("file", "name"), BODIES, ids=lambda v: v)
def test_only_names_of_the_file_change_and_each_to_one_of_its_own(file, name):
    own = short.declared(uncommented(source.text(file)))
    chosen = {}
    for long, brief in zip(*both(name), strict=True):
        assert len(brief) < len(long)
        lines = list(zip(long.split("\n"), brief.split("\n"), strict=True))
        assert all(a == b for a, b in lines if a.startswith("#"))
        for a, b in lines:
            for one, other in zip(short.tokens(a), short.tokens(b), strict=True):
                assert chosen.setdefault(one, other) == other, a
    assert len(set(chosen.values())) == len(chosen)
    changed = {one for one, other in chosen.items() if one != other}
    assert changed <= own
    signature = source.entry(name).partition("[[kernel]]")[2].partition("{")[0]
    assert not changed & {*short.tokens(signature)}  # MLX writes it anew


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return lane - 1;", "return a-1;"),
        ("template <typename T>", "template<typename T>"),
        ("x = a - -lane;", "x=a- -a;"),
        ("y = x / *p;", "y=x/ *p;"),
        ("Packed<Packed<T> > p;", "Packed<Packed<T> >p;"),
        ("n = 0x1e + lane + 1e-3f;", "n=0x1e +a+1e-3f;"),
        ("a ? b : ::c", "a?b: ::c"),
        ("unsigned int lane = .5f;", "unsigned int a= .5f;"),
        ('#line 3 "lane - 1.h"', '#line 3 "lane - 1.h"'),
    ],
)
def test_a_space_stays_where_tokens_need_it(line, expected):
    assert short.shortened(line, {"lane": "a"}) == expected
    if not line.startswith("#"):
        assert short.tokens(expected) == [{"lane": "a"}.get(t, t) for t in short.tokens(line)]


def made(monkeypatch, value):
    given = []
    monkeypatch.setenv(metal.CAPTURE, value)
    source.kernel(metal.short(lambda **d: given.append(d)), "silu_mul.metal", "silu_mul", ("x",), ("y",))
    return given[0]["header"], given[0]["source"]


def test_a_capture_on_a_mac_shows_the_names_of_the_files(monkeypatch):
    long, brief = both("silu_mul")
    assert made(monkeypatch, "0") == brief
    assert made(monkeypatch, "1") == long


def bodies_of(op, request):
    """The names of the kernels that serve it."""
    found = []

    def factory(*, name, **_):
        found.append(name)
        return lambda *, output_shapes, output_dtypes, **_: [
            mx.zeros(shape, dtype) for shape, dtype in zip(output_shapes, output_dtypes, strict=True)
        ]

    source.kernel.cache_clear()
    Kernels(op, factory, "stand-in", checked=False).run(request, None)
    return found


def first_of_each_body(op, dtype):
    """As few and small of the op's requests as launch each of its kernels."""
    seen, dispatch = set(), importlib.import_module(f"voxtral_kernels.dispatch.{op}")
    for case in testing.definition(op).CASES:
        request = dispatch.canary(testing.definition(op).example(case, dtype))
        names = set(bodies_of(op, request))
        if not names <= seen:
            seen |= names
            yield request


def results(op, factory, request):
    found = Kernels(op, factory, "emulator", checked=False).run(request, None)
    return [np.asarray(a.view(mx.uint8)).tobytes() for a in (found if isinstance(found, tuple) else (found,))]


def assert_same(op, request):
    assert results(op, metal.short(emulated.factory), request) == results(op, emulated.factory, request)


def test_a_kernel_with_short_names_gives_the_same_bits():
    request = next(first_of_each_body("skinny_linear", mx.bfloat16))
    assert_same("skinny_linear", request)


@pytest.mark.soak
@pytest.mark.parametrize("dtype", testing.FLOATS, ids=lambda d: str(d).rpartition(".")[2])
@pytest.mark.parametrize("op", testing.SHADED)
def test_every_kernel_with_short_names_gives_the_same_bits(op, dtype):
    for request in first_of_each_body(op, dtype):
        assert_same(op, request)
