"""The first-use self-check: planted failures disable a variant, the op stays right, the reason is told."""

import json
import warnings

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from tests import stages
from voxtral_kernels.backends import emulated, select, selfcheck
from voxtral_kernels.backends.shaders import Kernels

ARGUMENTS = {
    "ada_rms_norm": lambda: (mx.random.normal((2, 3, 64)), mx.ones((64,)), mx.ones((64,)) * 0.5),
    "causal_conv1d_gelu": lambda: (mx.random.normal((1, 6, 16)), mx.random.normal((24, 3, 16)) * 0.1),
    "sliding_window_attention": lambda: tuple(mx.random.normal((1, 2, 5, 32)) for _ in range(3)),
}


class DoesNotCompile:
    """Stands in for `mx.fast.metal_kernel`: the compiler refuses the text, at the first evaluation."""

    reason = r"does not run \(RuntimeError: \[metal::Device\] Unable to build metal library"

    def __call__(self, **description):
        def launch(**arguments):
            raise RuntimeError("[metal::Device] Unable to build metal library from source\nprogram_source:12: error")

        return launch


class RaisesAtLaunch:
    reason = r"does not run \(ValueError: threadgroup of 1024 threads"

    def __call__(self, **description):
        def launch(**arguments):
            raise ValueError("threadgroup of 1024 threads is more than the pipeline's 896")

        return launch


class GivesWrongNumbers:
    reason = r"its result differs from the composed op's by"

    def __call__(self, **description):
        def launch(output_shapes, output_dtypes, **arguments):
            return [mx.zeros(s, d) for s, d in zip(output_shapes, output_dtypes, strict=True)]

        return launch


class GivesNan(GivesWrongNumbers):
    def __call__(self, **description):
        def launch(output_shapes, output_dtypes, **arguments):
            return [mx.full(s, float("nan"), d) for s, d in zip(output_shapes, output_dtypes, strict=True)]

        return launch


@pytest.fixture
def route(monkeypatch, tmp_path):
    """Puts kernels built by a factory in front of the composed ops, with an empty verdict cache."""
    monkeypatch.setenv(selfcheck.ENVIRONMENT, str(tmp_path))
    monkeypatch.setitem(select.ORDER, mx.cpu, ("metal", "composed"))
    monkeypatch.delenv(select.ENVIRONMENT, raising=False)

    def plant(factory):
        selfcheck.forget()
        for op in stages.SHADED:
            monkeypatch.setitem(select._loaded, ("metal", op), Kernels(op, factory, "stand-in", checked=True))

    yield plant
    selfcheck.forget()


def call(op):
    result = getattr(vk, op)(*ARGUMENTS[op]())
    return result[0] if isinstance(result, tuple) else result


def expected(op):
    with vk.use_backend("composed"):
        return call(op)


@pytest.mark.parametrize("op", ARGUMENTS)
@pytest.mark.parametrize("factory", [DoesNotCompile, RaisesAtLaunch, GivesWrongNumbers, GivesNan])
def test_a_bad_variant_is_disabled_and_the_result_stays_right(route, op, factory):
    route(factory())
    mx.random.seed(0)
    with pytest.warns(RuntimeWarning, match=f"(?s){op}.*is disabled on this machine: .*{factory.reason}"):
        got = call(op)
    mx.random.seed(0)
    assert mx.array_equal(got, expected(op))
    backend, _, reasons = vk.explain(op, *ARGUMENTS[op]())
    assert backend == "composed"
    assert any("failed its self-check" in reason and reason.startswith("metal: ") for reason in reasons)
    assert any(selfcheck.report().values())


def test_one_warning_per_variant(route):
    route(GivesWrongNumbers())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            call("ada_rms_norm")
    assert len(caught) == 1


def test_verdicts_are_kept_on_disk_and_dropped_with_the_fingerprint(route, tmp_path, monkeypatch):
    route(GivesWrongNumbers())
    with pytest.warns(RuntimeWarning):
        call("ada_rms_norm")
    (file,) = tmp_path.glob("selfcheck-*.json")
    assert "differs" in next(iter(json.loads(file.read_text()).values()))
    route(None)  # a new process; its factory would fail if it were called
    with pytest.warns(RuntimeWarning, match="differs"):
        call("ada_rms_norm")
    monkeypatch.setattr(selfcheck.metadata, "version", lambda package: "0.0.0")
    route(DoesNotCompile())
    with pytest.warns(RuntimeWarning, match="does not run"):
        call("ada_rms_norm")
    assert len(list(tmp_path.glob("selfcheck-*.json"))) == 2


def test_a_damaged_cache_is_checked_anew(route, tmp_path):
    route(GivesWrongNumbers())
    with pytest.warns(RuntimeWarning):
        call("ada_rms_norm")
    (file,) = tmp_path.glob("selfcheck-*.json")
    file.write_text('["not", "verdicts"')
    route(RaisesAtLaunch())
    with pytest.warns(RuntimeWarning, match="does not run"):
        call("ada_rms_norm")


def test_an_unwritable_cache_does_no_harm(route, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(selfcheck.ENVIRONMENT, str(tmp_path / "file" / "below"))
    route(GivesWrongNumbers())
    with pytest.warns(RuntimeWarning):
        call("ada_rms_norm")


SHADER_EDITS = {
    "does not compile": (
        "sum_sq / float(dim)",
        "sum_sq / float(dimension)",
        r"does not run \(KernelError: .*dimension",
    ),
    "wrong": ("1 + float(condition.v[j])", "float(condition.v[j])", "differs from the composed op's"),
    "raises at launch": ("y += size_t(row) * dim;", "y += size_t(row + 1) * dim;", "does not run .*out-of-bounds"),
}


@pytest.mark.parametrize("edit", SHADER_EDITS)
def test_a_bad_shader_is_disabled_on_the_emulator(route, edit_shader, edit):
    right, wrong, reason = SHADER_EDITS[edit]
    edit_shader("ada_rms_norm.metal", right, wrong)
    route(emulated.factory)
    mx.random.seed(0)
    with pytest.warns(RuntimeWarning, match=f"(?s){reason}"):
        got = call("ada_rms_norm")
    mx.random.seed(0)
    assert mx.array_equal(got, expected("ada_rms_norm"))
    assert vk.explain("ada_rms_norm", *ARGUMENTS["ada_rms_norm"]())[0] == "composed"


@pytest.mark.parametrize("op", ARGUMENTS)
def test_the_shaders_as_they_are_come_out_right(route, op):
    route(emulated.factory)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(op)
    assert vk.explain(op, *ARGUMENTS[op]())[0] == "metal"
    assert set(selfcheck.report().values()) == {""}
