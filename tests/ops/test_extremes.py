"""Huge, tiny, infinite and NaN inputs on every backend that runs here, element by element."""

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
    testing.check_case(op, case, testing.FLOATS[CASES.index((op, case)) % 3], "emulator")


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
