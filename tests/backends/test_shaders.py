"""The loader of the shaders, and the `metal` route as far as a machine without Metal can see it."""

import dataclasses

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from tests import stages
from voxtral_kernels import testing
from voxtral_kernels.backends import select, source
from voxtral_kernels.backends.lean import bare
from voxtral_kernels.backends.shaders import Kernels
from voxtral_kernels.reference.ada_rms_norm import AdaRmsNorm

FILES = {
    "ada_rms_norm.metal": ["ada_rms_norm", "ada_rms_norm_residual"],
    "causal_conv1d_gelu.metal": ["causal_conv1d_gelu_vector", "causal_conv1d_gelu_tiled"],
    "sliding_window_attention_staged.metal": [
        "sliding_window_attention_staged",
        "sliding_window_attention_staged_split",
    ],
    "sliding_window_attention_tiled.metal": ["sliding_window_attention_tiled"],
    "sliding_window_attention_vector.metal": [
        "sliding_window_attention_vector",
        "sliding_window_attention_vector_split",
        "sliding_window_attention_vector_merge",
    ],
}


@pytest.mark.parametrize("file", FILES)
def test_headers_are_inlined_once_under_line_directives(file):
    text = source.text(file)
    assert '#include "' not in text
    assert "#pragma once" not in text
    assert text.count("struct Packed {") <= 1
    # Count lines as a compiler does: each that it attributes to a file is that file's own.
    current, number, own = "", 0, 0
    for line in text.splitlines():
        if line.startswith("#line"):
            _, at, name = line.split()
            current, number = name.strip('"'), int(at)
            continue
        original = (source.kernels_dir() / current).read_text().splitlines()[number - 1]
        assert line == original or (line == "" and original.startswith(("#include", "#pragma once")))
        number, own = number + 1, own + (current == file)
    assert own > 100


@pytest.mark.parametrize(("file", "name"), [(f, n) for f, names in FILES.items() for n in names])
def test_every_body_is_found_with_its_line(file, name):
    first, *lines = source.body(file, name).splitlines()
    number = int(first.split()[1])
    assert bare((source.kernels_dir() / file).read_text().splitlines()[number - 1]) == lines[0]
    assert lines[-1].endswith(");")
    assert "[[" not in "".join(lines)


def test_a_missing_body_is_named():
    with pytest.raises(KeyError, match="no body softmax"):
        source.body("ada_rms_norm.metal", "softmax")


def test_kernel_objects_are_built_once():
    built = []

    def factory(**description):
        built.append(description["name"])
        return object()

    first, second = (source.kernel(factory, "ada_rms_norm.metal", "ada_rms_norm", ("x",), ("y",)) for _ in range(2))
    assert first is second
    assert built == ["vk_ada_rms_norm"]


REQUESTS = {
    "ada_rms_norm": ["x", "weight", "scale"],
    "causal_conv1d_gelu": ["x", "weight", "bias"],
    "sliding_window_attention": ["q", "tail_k", "tail_v"],
}


def zeros(output_shapes, output_dtypes, **_):
    return [mx.zeros(s, d) for s, d in zip(output_shapes, output_dtypes, strict=True)]


@pytest.mark.parametrize("op", REQUESTS)
def test_gradient_is_that_of_the_composed_form(op):
    """The stand-in computes nothing, so whatever is right comes from the composed form."""
    ref = testing.definition(op)
    case = next(c for c in ref.CASES if getattr(c, "past", 0) == 0 and getattr(c, "bias", True))
    request = ref.example(case, mx.float32, 0)
    names = [n for n in REQUESTS[op] if getattr(request, n) is not None]
    kernels = Kernels(op, lambda **_: zeros, "stand-in", checked=False)

    def loss(serve):
        def total(*values):
            out = serve(dataclasses.replace(request, **dict(zip(names, values, strict=True))))
            outputs = out if isinstance(out, tuple) else (out,)
            return sum((mx.stop_gradient(mx.cos(mx.arange(o.size)).reshape(o.shape)) * o).sum() for o in outputs)

        return mx.grad(total, argnums=list(range(len(names))))(*(getattr(request, n) for n in names))

    ours = loss(lambda r: kernels.run(r, None))
    stock = loss(ref.composed)
    for name, a, b in zip(names, ours, stock, strict=True):
        assert mx.allclose(a, b, rtol=1e-5, atol=1e-6), name


def test_uncached_calls_work_inside_compile_and_grad(monkeypatch):
    monkeypatch.setitem(select.ORDER, mx.cpu, ("metal",))
    for op in stages.SHADED:
        kernels = Kernels(op, lambda **_: zeros, "stand-in", checked=False)
        monkeypatch.setitem(select._loaded, ("metal", op), kernels)
    q = mx.random.normal((1, 2, 5, 32))

    def model(q):
        out = vk.sliding_window_attention(q, q, q, window=3)
        y, h = vk.ada_rms_norm(out, residual=q)
        z, _ = vk.causal_conv1d_gelu(y[0], mx.ones((8, 3, 32)))
        return z.sum() + h.sum()

    for transform in (mx.compile(model), mx.grad(model), mx.compile(mx.grad(model))):
        result = transform(q)
        mx.eval(result)
    assert mx.abs(result).sum() > 0


def test_the_metal_route_says_why_it_does_not_serve():
    if mx.metal.is_available():
        pytest.skip("this machine has Metal")
    with vk.use_backend("metal"), pytest.raises(RuntimeError, match=r"metal: this machine has no Metal device\."):
        vk.ada_rms_norm(mx.ones((2, 32)))


def test_a_planned_norm_refuses_a_weight_of_another_dtype():
    x = mx.zeros((2, 32), mx.float16)
    norm = Kernels("ada_rms_norm", lambda **_: zeros, "metal", checked=False).prepare(
        AdaRmsNorm(x, x[0], None, 1e-5, None)
    )
    assert norm(x, x[0], None, 1e-5, None).shape == x.shape
    with pytest.raises(ValueError, match=r"\[ada_rms_norm\] weight: expected float16, got float32\."):
        norm(x, mx.zeros((32,)), None, 1e-5, None)
