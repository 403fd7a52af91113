"""The choice of a backend: by name, by environment, by default; nothing falls back in silence."""

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from voxtral_kernels.backends import select

X = mx.ones((1, 4, 32))


@pytest.fixture
def registry(monkeypatch):
    """A fresh look-up of the backends."""
    select.forget()
    yield monkeypatch
    select.forget()


def test_by_name():
    with vk.use_backend("composed"):
        backend, variant, reasons = vk.explain("ada_rms_norm", X)
    assert (backend, variant) == ("composed", "composed")
    assert "composed was asked for by name." in reasons
    assert all(reason.endswith(".") for reason in reasons)


def test_by_environment(monkeypatch):
    monkeypatch.setenv("VOXTRAL_KERNELS_BACKEND", "composed")
    assert "composed was asked for by name." in vk.explain("ada_rms_norm", X)[2]
    monkeypatch.setenv("VOXTRAL_KERNELS_BACKEND", "fastest")
    with pytest.raises(ValueError, match=r"VOXTRAL_KERNELS_BACKEND: expected one of .*, got 'fastest'\."):
        vk.ada_rms_norm(X)


def test_use_backend_nests_and_ends():
    with vk.use_backend("composed"):
        with vk.use_backend(None):
            assert select.forced() is None
        assert select.forced() == "composed"
    assert select.forced() is None


def test_a_backend_asked_for_by_name_that_cannot_run_raises(registry):
    registry.setitem(select._MODULES, "metal", "voxtral_kernels._no_such_module")
    with vk.use_backend("metal"), pytest.raises(RuntimeError, match=r"\[ada_rms_norm\] backend: metal cannot serve"):
        vk.ada_rms_norm(X)


def test_the_default_order_skips_what_cannot_run_and_says_why(registry):
    registry.setitem(select._MODULES, "native", "voxtral_kernels._no_such_module")
    backend, _, reasons = vk.explain("ada_rms_norm", X)
    assert backend == "composed"
    assert "native: native is not part of this version." in reasons


def test_every_public_op_explains_itself():
    q = mx.ones((1, 2, 4, 32))
    weight = mx.ones((8, 3, 32))
    for op, args in [
        ("ada_rms_norm", (X,)),
        ("causal_conv1d_gelu", (X, weight)),
        ("conv1d_gelu", (X, weight)),
        ("sliding_window_attention", (q, q, q)),
    ]:
        backend, variant, reasons = vk.explain(op, *args)
        assert backend in select.BACKENDS
        assert variant
        assert reasons


def test_explain_refuses_an_unknown_op():
    with pytest.raises(ValueError, match=r"\[explain\] op: expected one of .*, got 'softmax'\."):
        vk.explain("softmax", X)


@pytest.mark.parametrize("call", [vk.ada_rms_norm, lambda x, stream: vk.explain("ada_rms_norm", x, stream=stream)])
def test_a_stream_that_is_none_is_refused(call):
    with pytest.raises(ValueError, match=r"\[ada_rms_norm\] stream: expected an mx.Stream, .* got 4\."):
        call(X, stream=4)
    call(X, stream=mx.cpu)
    call(X, stream=mx.default_stream(mx.cpu))


def test_explain_does_not_change_the_cache():
    cache, q = vk.RingKVCache(8), mx.ones((1, 2, 4, 32))
    vk.explain("sliding_window_attention", q, q, q, cache=cache)
    assert cache.offset == 0


def test_unknown_name():
    with (
        pytest.raises(ValueError, match=r"\[use_backend\] name: expected one of native, metal"),
        vk.use_backend("cuda"),
    ):
        pass
