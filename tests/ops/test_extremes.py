"""Huge, tiny, infinite and NaN inputs on every backend that runs here, element by element."""

import re

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from tests import stages
from voxtral_kernels import testing
from voxtral_kernels.backends.extension import extension


def extremes(op):
    return getattr(testing.definition(op), "EXTREMES", [])


CASES = [(op, case) for op in stages.SHADED for case in extremes(op)]
DTYPES = [str(dtype).rpartition(".")[2] for dtype in testing.FLOATS]


def shape(op, case):
    return op, re.sub("-(huge|tiny|infinite|nan)", "", str(case))


@pytest.fixture(params=extension().available_isas())
def isa(request):
    before = extension().isa()
    extension().use_isa(request.param)
    yield request.param
    extension().use_isa(before)


@pytest.mark.fault("wrong values: inputs at the ends of the number range were never compared, native")
@pytest.mark.parametrize("op", stages.NATIVE)
def test_native_on_each_instruction_set(op, isa):
    for case in extremes(op):
        for dtype in testing.FLOATS:
            testing.check_case(op, case, dtype, "native")


@pytest.mark.fault("wrong values: inputs at the ends of the number range were never compared, composed")
@pytest.mark.parametrize("op", testing.OPS)
def test_composed(op):
    for case in extremes(op):
        for dtype in testing.FLOATS:
            testing.check_case(op, case, dtype, "composed")


@pytest.mark.fault("wrong values: inputs at the ends of the number range were never compared, shaders (emulated)")
@pytest.mark.parametrize(("op", "case"), CASES, ids=str)
def test_emulated_shader(op, case):
    """A shape has one dtype, so that its extremes share a compiled kernel; the other dtypes are in `make soak`."""
    shapes = list(dict.fromkeys(shape(*one) for one in CASES))
    testing.check_case(op, case, testing.FLOATS[shapes.index(shape(op, case)) % 3], "emulator")


@pytest.mark.soak
@pytest.mark.parametrize("dtype", testing.FLOATS, ids=DTYPES)
@pytest.mark.parametrize(("op", "case"), CASES, ids=str)
def test_emulated_shader_in_every_dtype(op, case, dtype):
    testing.check_case(op, case, dtype, "emulator")


@pytest.mark.fault("wrong values: the native gelu(-1e30) was -7.7e17, gelu(-inf) -inf, gelu(-50) -3.8e-11")
def test_the_native_gelu_goes_to_zero(isa):
    x = mx.array([-np.inf, -3e38, -1e30, -50.0, -7.2, 7.2, 50.0, 3e38, np.inf])[None, :, None]
    with vk.use_backend("native"):
        y = np.array(vk.conv1d_gelu(x, mx.ones((1, 1, 1)), padding=0)).ravel()
    assert y.tolist() == [0.0] * 5 + np.array(x).ravel()[5:].tolist()
    assert np.signbit(y[:5]).all()


@pytest.mark.fault("wrong values: a key of -inf took part in the native softmax")
@pytest.mark.parametrize("backend", ["native", "composed", pytest.param("emulator", marks=pytest.mark.soak)])
@pytest.mark.parametrize("length", [1, 12])
def test_a_key_that_scores_minus_infinity_is_not_there(backend, length):
    """Its value does not count; a query that sees no other key has no answer: NaN."""
    rng = np.random.default_rng(0)
    q, k, v = (mx.array(rng.normal(size=(1, 2, 12, 32)).astype(np.float32)) for _ in range(3))
    q[..., 0] = 1
    k[:, :, 4, 0], v[:, :, 4] = -np.inf, 1e30
    cache = vk.RingKVCache(16)
    with vk.use_backend(backend):
        if length < 12:
            cache.append(k[:, :, : 12 - length], v[:, :, : 12 - length])
        out = vk.sliding_window_attention(*(a[:, :, 12 - length :] for a in (q, k, v)), cache=cache)
        alone = vk.sliding_window_attention(*(a[:, :, 4:5] for a in (q, k, v)))
    assert np.isnan(np.array(alone)).all()
    kept = mx.array([i for i in range(12) if i != 4])
    with vk.use_backend("composed"):
        expected = vk.sliding_window_attention(q[:, :, kept], k[:, :, kept], v[:, :, kept], window=15)
    last = np.array(out[:, :, -1])
    assert np.abs(last - np.array(expected[:, :, -1])).max() <= 1e-5


@pytest.mark.fault("wrong values: a NaN behind the mask, in a later value, made earlier queries NaN")
@pytest.mark.parametrize("backend", ["native", "composed", "emulator"])
@pytest.mark.parametrize(("length", "heads"), [(1, 2), (4, 2), (6, 4), (40, 2)], ids=["decode", "few", "rows", "tiles"])
def test_what_is_behind_the_mask_never_reaches_the_result(backend, length, heads):
    """NaN or infinity at one position after the other: a query that does not see it has the same result."""
    rng = np.random.default_rng(1)
    past, window = 9, 7
    q = mx.array(rng.normal(size=(1, heads, length, 32)).astype(np.float32))
    k, v = (mx.array(rng.normal(size=(1, 2, past + length, 32)).astype(np.float32)) for _ in range(2))

    def run(keys, values):
        cache = vk.RingKVCache(window)
        with vk.use_backend(backend):
            cache.append(keys[:, :, :past], values[:, :, :past])
            return np.array(vk.sliding_window_attention(q, keys[:, :, past:], values[:, :, past:], cache=cache))

    clean = run(k, v)
    spoiled = [0, 3, past - window, past - 1, past, past + 1, past + length // 2, past + length - 1]
    for i, position in enumerate(sorted(set(spoiled))):
        bad = (np.nan, np.inf, -np.inf)[i % 3]
        keys, values = mx.array(k), mx.array(v)
        keys[:, :, position, 1], values[:, :, position, 5] = (np.nan if i % 2 else 1.0), bad
        out = run(keys, values)
        queries = np.arange(past, past + length)
        sees = (position <= queries) & (position > queries - window)
        assert np.allclose(out[:, :, ~sees], clean[:, :, ~sees], rtol=1e-5, atol=1e-6), position
        assert not np.isfinite(out[:, :, sees][..., 5]).any(), position
