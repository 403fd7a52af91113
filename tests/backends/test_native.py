"""The native extension: every instruction set against the oracle, derivatives, layouts, and when it steps aside."""

import copy
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from tests import stages
from voxtral_kernels import testing
from voxtral_kernels.backends import extension, native, select
from voxtral_kernels.reference.kv_append import KvAppend
from voxtral_kernels.reference.silu_mul import SiluMul

ISAS = ["v2", "v3", "v4", "v4bf16", "neon"]
CASES = [(op, case) for op in stages.NATIVE for case in testing.definition(op).CASES]


@pytest.fixture
def ext():
    module = extension.extension()
    before = module.isa()
    yield module
    module.use_isa(before)


@pytest.fixture
def fresh(monkeypatch):
    """The extension is looked for again in the test and after it."""
    extension.extension.cache_clear()
    select.forget()
    yield monkeypatch
    monkeypatch.undo()
    extension.extension.cache_clear()
    select.forget()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("op", "case"), CASES, ids=str)
def test_matches_oracle(ext, op, case, isa):
    if isa not in ext.available_isas():
        pytest.skip(f"this processor has no {isa}")
    ext.use_isa(isa)
    for dtype in testing.FLOATS:
        testing.check_case(op, case, dtype, "native")


@pytest.mark.soak
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("op", stages.NATIVE)
def test_matches_oracle_over_the_full_cross(ext, op, isa):
    if isa not in ext.available_isas():
        pytest.skip(f"this processor has no {isa}")
    ext.use_isa(isa)
    for case in testing.definition(op).cross():
        for dtype in testing.FLOATS:
            testing.check_case(op, case, dtype, "native")


def test_is_the_default_on_a_cpu():
    q = mx.ones((1, 2, 40, 32))
    backend, variant, _ = vk.explain("sliding_window_attention", q, q, q, stream=mx.cpu)
    assert (backend, variant) == ("native", "tiled")
    assert vk.explain("sliding_window_attention", q[:, :, :1], q[:, :, :1], q[:, :, :1])[1] == "vector"
    assert vk.explain("causal_conv1d_gelu", mx.ones((1, 2, 8)), mx.ones((4, 2, 8)))[1] == "vector"


@pytest.mark.parametrize("threads", ["1", "3"])
def test_threads_share_the_work_exactly_once(threads):
    script = """
from voxtral_kernels import testing
from voxtral_kernels.backends import extension
import sys
assert extension.extension().threads() == int(sys.argv[1])
for op in sys.argv[2:]:
    for case in testing.definition(op).CASES[:6]:
        testing.check_case(op, case, testing.FLOATS[0], "native")
"""
    environment = {**os.environ, "VOXTRAL_KERNELS_THREADS": threads}
    subprocess.run([sys.executable, "-c", script, threads, *stages.NATIVE], env=environment, check=True)


def test_the_instruction_set_comes_from_the_environment(ext):
    environment = {**os.environ, "VOXTRAL_KERNELS_ISA": ext.available_isas()[-1]}
    show = [sys.executable, "-c", "from voxtral_kernels.backends import extension; print(extension.status())"]
    listed = subprocess.run(show, env=environment, check=True, capture_output=True, text=True).stdout
    assert f"instruction set {ext.available_isas()[-1]} of" in listed
    with pytest.raises(ValueError, match=r"\[native\] isa: expected one of .*, got v9\."):
        ext.use_isa("v9")


def test_the_environment_is_read_when_the_module_is_loaded():
    """Later it would be read by a stream's thread, in a race with the program's own changes (one of fifty crashed)."""
    script = """
import os
from voxtral_kernels.backends import extension
ext = extension.extension()
os.environ |= {"VOXTRAL_KERNELS_THREADS": "7", "VOXTRAL_KERNELS_ISA": "v9"}
assert ext.threads() == 3
assert "instruction set v9" not in extension.status()
"""
    environment = {**os.environ, "VOXTRAL_KERNELS_THREADS": "3"}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


def strided_inputs(request):
    """The same values behind layouts that the kernels cannot read directly: transposed last axes, odd strides."""

    def turn(a):
        if a is None or not isinstance(a, mx.array):
            return a
        wide = mx.stack([a, a + 1], axis=-1)
        return wide[..., 0] if a.ndim == 1 else mx.contiguous(a.swapaxes(-1, -2)).swapaxes(-1, -2)

    return type(request)(**{n: turn(getattr(request, n)) for n in request.__dataclass_fields__})


def outputs(result):
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("op", stages.NATIVE)
def test_layouts_do_not_matter(op):
    definition = testing.definition(op)
    for case in definition.CASES[:4]:
        request = definition.example(case, mx.float32)
        with vk.use_backend("native"):
            expected, got = select.run(op, request), select.run(op, strided_inputs(request))
        for a, b in zip(outputs(expected), outputs(got), strict=True):
            assert mx.array_equal(a, b).item()


def test_a_broadcast_input_is_read_right():
    x = mx.broadcast_to(mx.arange(32, dtype=mx.float32), (2, 3, 32))
    with vk.use_backend("native"):
        got = vk.ada_rms_norm(x)
    with vk.use_backend("composed"):
        assert mx.allclose(got, vk.ada_rms_norm(x)).item()


def test_nothing_in_nothing_out():
    with vk.use_backend("native"):
        y, _ = vk.causal_conv1d_gelu(mx.zeros((1, 0, 8)), mx.ones((4, 2, 8)))
        assert y.shape == (1, 0, 4)
        assert vk.ada_rms_norm(mx.zeros((0, 8))).shape == (0, 8)
        mx.eval(y)


def test_nan_is_not_lost():
    x = mx.ones((1, 12, 32))
    x[0, 11, 5] = float("nan")
    with vk.use_backend("native"):
        assert mx.isnan(vk.ada_rms_norm(x)).sum().item() == 32
        y = vk.conv1d_gelu(x, mx.ones((8, 3, 32)))
        assert mx.isnan(y).any(axis=2).tolist() == [[False] * 10 + [True] * 2]
        for rows in (12, 7, 2):  # lanes along rows, half a vector of rows, lanes along head_dim
            q = x[:, None, -rows:]
            lost = mx.isnan(vk.sliding_window_attention(q, q * 0 + 1, mx.ones_like(q))).any(axis=3)
            assert lost[0, 0].tolist() == [False] * (rows - 1) + [True]
        assert mx.isnan(vk.ada_rms_norm(x.astype(mx.bfloat16))).sum().item() == 32


def gradients(op, backend):
    definition = testing.definition(op)
    case = definition.CASES[-1] if op != "causal_conv1d_gelu" else definition.CASES[0]
    request = definition.example(case, mx.float32)
    given = {n: getattr(request, n) for n in request.__dataclass_fields__}
    names = [n for n, a in given.items() if isinstance(a, mx.array) and mx.issubdtype(a.dtype, mx.floating)]

    def loss(*arrays):
        fields = {n: getattr(request, n) for n in request.__dataclass_fields__} | dict(zip(names, arrays, strict=True))
        out = select.run(op, type(request)(**fields))
        return sum((o * mx.cos(mx.arange(o.size, dtype=mx.float32).reshape(o.shape))).sum() for o in outputs(out))

    with vk.use_backend(backend):
        return mx.grad(loss, argnums=list(range(len(names))))(*(getattr(request, n) for n in names))


@pytest.mark.parametrize("op", stages.NATIVE)
def test_gradients_are_those_of_the_composed_form(op):
    for ours, composed in zip(gradients(op, "native"), gradients(op, "composed"), strict=True):
        error = mx.abs(ours - composed).max().item()
        assert error <= 1e-5 * mx.abs(composed).max().item() + 1e-6


def test_forward_mode_vmap_and_compile():
    rng = np.random.default_rng(0)
    x, weight = mx.array(rng.normal(size=(3, 4, 32)), mx.float32), mx.array(rng.normal(size=32), mx.float32)
    with vk.use_backend("native"):
        plain = vk.ada_rms_norm(x, weight)
        assert mx.allclose(mx.vmap(lambda a: vk.ada_rms_norm(a, weight))(x), plain, atol=1e-6).item()
        assert mx.array_equal(mx.compile(lambda a: vk.ada_rms_norm(a, weight) * 2)(x), plain * 2).item()
        ours = mx.jvp(lambda a: vk.ada_rms_norm(a, weight), [x], [mx.ones_like(x)])[1][0]
    with vk.use_backend("composed"):
        composed = mx.jvp(lambda a: vk.ada_rms_norm(a, weight), [x], [mx.ones_like(x)])[1][0]
    assert mx.allclose(ours, composed, atol=1e-5).item()


def test_equal_calls_are_one_under_compile():
    def twice(x):
        return vk.ada_rms_norm(x) + vk.ada_rms_norm(x), vk.ada_rms_norm(x, eps=1e-3)

    x = mx.ones((2, 32)) * 1e-3
    with vk.use_backend("native"):
        doubled, other = mx.compile(twice)(x)
        assert mx.array_equal(doubled, 2 * vk.ada_rms_norm(x)).item()
        assert not mx.allclose(doubled, 2 * other).item()


def test_steps_aside_for_another_mlx(fresh):
    fresh.setattr(extension, "built_against", lambda file: "0.31.0")
    sentence = extension.status()
    assert sentence.startswith("native: not in use: the extension was built against MLX 0.31.0 and steps aside")
    backend, _, reasons = vk.explain("ada_rms_norm", mx.ones((1, 32)), stream=mx.cpu)
    assert backend == "composed"
    assert any("0.31.0" in reason for reason in reasons)
    with vk.use_backend("native"), pytest.raises(RuntimeError, match=r"built against MLX 0\.31\.0"):
        vk.ada_rms_norm(mx.ones((1, 32)))


def test_steps_aside_where_it_is_not_installed(fresh):
    fresh.setattr(importlib.util, "find_spec", lambda name: None)
    assert extension.status() == (
        "native: not in use: the extension is not installed (the package was installed without a C++ compiler)."
    )
    assert vk.explain("ada_rms_norm", mx.ones((1, 32)), stream=mx.cpu)[0] == "composed"


def test_a_record_of_the_mlx_version_lies_beside_the_extension(tmp_path):
    assert extension.built_against(tmp_path / "_ext.so") == "of an unknown version"
    (tmp_path / "_ext_mlx_version.txt").write_text("0.32.4\n")
    assert extension.built_against(tmp_path / "_ext.so") == "0.32.4"


def test_a_set_that_the_build_left_unoptimised_is_not_chosen(tmp_path):
    available = ["v4", "v3", "v2"]
    assert extension.best_optimised(available, tmp_path / "_ext.so") == "v4", "no record: an older build, all optimised"
    for optimised, best in (("v2\nv3\n", "v3"), ("v2\nv3\nv4\nv4bf16\n", "v4"), ("v4bf16\n", "v4")):
        (tmp_path / "_ext_optimised.txt").write_text(optimised)
        assert extension.best_optimised(available, tmp_path / "_ext.so") == best


def test_what_runs_here_is_optimised(ext):
    record = Path(ext.__file__).with_name("_ext_optimised.txt").read_text().split()
    assert set(ext.available_isas()) <= set(record)


def test_copies_of_a_cache_do_not_share_the_ring():
    cache, q = vk.RingKVCache(8), mx.ones((1, 2, 4, 32))
    with vk.use_backend("native"):
        mx.eval(vk.sliding_window_attention(q, q, q, cache=cache))
        twins = copy.copy(cache), copy.deepcopy(cache)
        mx.eval(vk.sliding_window_attention(q, q * 2, q * 2, cache=cache))
    for twin in twins:
        assert twin.offset == 4
        assert mx.array_equal(twin.keys_values()[0], mx.ones((1, 2, 4, 32))).item()


@pytest.mark.parametrize("dtype", testing.FLOATS, ids=lambda d: str(d).rpartition(".")[2])
@pytest.mark.skipif(sys.platform == "darwin", reason="stock MLX has a fast matmul there")
@pytest.mark.parametrize("rows", [1, 40])
def test_linear_is_the_matmul(ext, rows, dtype):
    rng = np.random.default_rng(0)
    x, weight, bias = (mx.array(rng.normal(size=s), dtype) for s in ((2, rows, 48), (100, 48), (100,)))
    wide = [a.astype(mx.float32) for a in (x, weight, bias)]
    truth = np.array(wide[0], np.float64) @ np.array(wide[1], np.float64).T + np.array(wide[2], np.float64)
    for isa in ext.available_isas():
        ext.use_isa(isa)
        got = native.linear(x, weight, bias=bias)
        testing.assert_matches(got, truth, mx.addmm(wide[2], wide[0], wide[1].T))
    with vk.use_backend("composed"):
        assert native.linear(x, weight, bias=bias) is None


def test_an_extension_without_metal_serves_no_op_on_a_gpu(ext):
    assert not ext.has_metal
    row = mx.zeros((1, 1, 1, 8))
    for op, request in (("kv_append", KvAppend(row, row, row, row)), ("silu_mul", SiluMul(row))):
        backend = native.backend(op)
        assert backend.unsupported(request, mx.gpu) == ["the extension was built without Metal."]
        assert backend.unsupported(request, mx.cpu) == []
