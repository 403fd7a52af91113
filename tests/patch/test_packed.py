"""A realtime host's layers as blocks over the host's own weights: nothing held twice, nothing stale, nothing kept."""

import copy
import gc

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

import voxtral_kernels as vk
from voxtral_kernels.patch import _packed
from voxtral_kernels.testing import assert_model_matches

BITS = pytest.mark.parametrize("bits", ["float32", "4-bit"])


def small(host, bits="float32"):
    model = host.small()
    if bits == "4-bit":
        host.quantize(model)
    return model


def layer(host, model):
    """The first decoder layer: the module that holds its attention, and that attention."""
    decoder = getattr(model, "language_model", None) or model.decoder
    first = (decoder.get("layers") or decoder["blocks"])[0]
    return first, first["attention"] if "attention" in first else first["self_attn"]


def q_and_gate(host, model):
    first, attention = layer(host, model)
    mlp = first if "feed_forward_w1" in first else first.get("mlp") or first["ffn"]
    q = "wq" if "wq" in attention else "q_proj"
    gate = next(name for name in ("feed_forward_w1", "gate_proj", "gate") if name in mlp)
    return (attention, q), (mlp, gate)


def logits(host, model, noise):
    """Behind a prefill of more rows than the kernel takes, then of few."""
    cache = host.new_cache(model, 4096)
    x = host.embed(model, noise[:, :240])
    return mx.concatenate([host.decode(model, x[i:j], cache) for i, j in ((0, 20), (20, 25), (25, 26), (26, 27))])


@BITS
def test_nothing_is_held_twice_and_undo_gives_buffers_back(host, bits):
    model = small(host, bits)
    mx.eval(model.parameters())
    weights = dict(tree_flatten(model.parameters()))
    values = {path: np.array(a.astype(mx.float32)) for path, a in weights.items() if a.dtype != mx.uint32}
    gc.collect()
    mx.clear_cache()
    before = mx.get_active_memory()
    patched = vk.accelerate(model)
    assert all(_blocks(model))
    assert "skinny_linear up to 16 rows" in str(patched.report())
    gc.collect()
    mx.clear_cache()
    assert mx.get_active_memory() < 1.05 * before
    after = dict(tree_flatten(model.parameters()))
    assert all(after[path] is a for path, a in weights.items())
    assert all(np.array_equal(np.array(weights[path].astype(mx.float32)), a) for path, a in values.items())
    patched.undo()
    assert all(np.array(a, copy=False).flags["C_CONTIGUOUS"] for a in weights.values())
    assert all(np.array_equal(np.array(weights[path].astype(mx.float32)), a) for path, a in values.items())


def _blocks(model):
    return [m._packed._block for _, m in model.named_modules() if hasattr(m, "_packed")]


def test_few_and_many_rows_are_the_hosts_in_every_form(host, noise):
    model = host.small()
    expected = np.array(logits(host, model, noise), np.float64)
    with vk.accelerate(model, semantics="host"):
        assert all(_blocks(model))
        for backend in ("native", "composed"):
            with vk.use_backend(backend):
                assert_model_matches(logits(host, model, noise), expected, backend)


@pytest.mark.parametrize(("where", "bits"), [(0, "float32"), (1, "4-bit")], ids=["q, float32", "gate, 4-bit"])
def test_a_weight_that_is_changed_in_place_is_used(host, noise, where, bits):
    model, other = small(host, bits), small(host, bits)
    with vk.accelerate(model, semantics="host"):
        before = logits(host, model, noise)
        for m in (model, other):
            holder, name = q_and_gate(host, m)[where]
            linear = holder[name]
            linear["weight" if bits == "float32" else "scales"] *= 1.5
        after = logits(host, model, noise)
        assert all(_blocks(model))
    assert_model_matches(after, np.array(logits(host, other, noise), np.float64), "changed in place")
    assert not mx.allclose(after, before, atol=1e-3)


class Doubled(nn.Linear):
    """What an adapter does: another module in a projection's place."""

    def __call__(self, x):
        return 2 * super().__call__(x)


def test_a_projection_that_is_replaced_is_called(host, noise):
    model, other = host.small(), host.small()
    with vk.accelerate(model, semantics="host"):
        plain = logits(host, model, noise)
        for m in (model, other):
            attention, name = q_and_gate(host, m)[0]
            adapter = Doubled(1, 1, bias=False)
            adapter.weight = attention[name].weight
            attention[name] = adapter
        after = logits(host, model, noise)
        assert [block is None for block in _blocks(model)].count(True) == 1
        assert_model_matches(after, np.array(logits(host, other, noise), np.float64), "replaced")
        attention[name] = nn.Linear(1, 1, bias=False)
    assert not mx.allclose(after, plain, atol=1e-3)


def test_a_layer_of_mixed_quantisation_keeps_its_own_products_and_says_so(host, noise):
    model = host.small()
    attention, name = q_and_gate(host, model)[0]
    attention[name] = attention[name].to_quantized(32, 8)
    before = np.array(logits(host, model, noise), np.float64)
    patched = vk.accelerate(model, semantics="host")
    assert [block is None for block in _blocks(model)].count(True) == 1
    (left,) = [change for change in patched.report().left_alone if "its products" in change.path]
    assert ".0, its products: their weights are not all plain" in str(left)
    assert_model_matches(logits(host, model, noise), before, "mixed")


def test_two_models_over_the_same_arrays_pack_once_each(host, noise, monkeypatch):
    first, second = host.small(), host.small()
    second.update(first.parameters())
    expected = np.array(logits(host, first, noise), np.float64)
    packs, pack = [], _packed.Packed._pack
    monkeypatch.setattr(_packed.Packed, "_pack", lambda *a: packs.append(a) or pack(*a))
    with vk.accelerate(first, semantics="host"), vk.accelerate(second, semantics="host"):
        for _ in range(2):
            for model in (first, second):
                assert_model_matches(logits(host, model, noise), expected, "shared")
    assert len(packs) == 8


def test_gradients_of_an_accelerated_model_are_the_hosts(host, noise):
    model = host.small()

    def loss(m):
        # mlx-audio's whole encoder has caches of its own.
        full = getattr(m.encoder, "encode_full", None)
        mel = noise[:, :32]
        return ((host.embed(m, mel) if full is None else full(m.encoder.conv_stem(mel))) ** 2).sum()

    gradients = nn.value_and_grad(model, loss)
    _, before = gradients(model)
    with vk.accelerate(model, semantics="host"):
        logits(host, model, noise)
        _, after = gradients(model)
        assert all(_blocks(model))
    for (path, a), (_, b) in zip(tree_flatten(before), tree_flatten(after), strict=True):
        assert_model_matches(b, np.array(a, np.float64), path)


def test_no_strided_weight_multiplies_no_rows(host, noise, monkeypatch):
    """MLX's product of no rows frees its copy of a strided weight while the copy is still to be written."""
    model, product, empty = small(host), nn.Linear.__call__, []

    def checked(self, x):
        if x.size == 0:
            empty.append(np.array(self.weight, copy=False).flags.c_contiguous)
        return product(self, x)

    with vk.accelerate(model):
        _, (mlp, gate) = q_and_gate(host, model)
        assert not np.array(mlp[gate].weight, copy=False).flags.c_contiguous, "nothing to test"
        monkeypatch.setattr(nn.Linear, "__call__", checked)
        mx.eval(host.embed_stream(model, noise, (1,))[0])
    assert all(empty), empty


@BITS
def test_undo_keeps_what_was_put_into_the_host_meanwhile(host, noise, bits):
    model = small(host, bits)
    with vk.accelerate(model, semantics="host"):
        (attention, q), (mlp, gate) = q_and_gate(host, model)
        shape = attention[q].weight.shape[0], host_width(attention[q])
        attention[q] = new_q = nn.Linear(shape[1], shape[0], bias="bias" in attention[q])
        mlp[gate] = new_gate = nn.Linear(shape[1], mlp[gate].weight.shape[0], bias=False)
        during = logits(host, model, noise)
    (attention, q), (mlp, gate) = q_and_gate(host, model)
    assert attention[q] is new_q
    assert mlp[gate] is new_gate
    assert_model_matches(logits(host, model, noise), np.array(during, np.float64), "after undo")


def host_width(linear):
    """Columns of a linear layer, quantised ones too."""
    return linear.weight.shape[1] * (32 // linear.bits if hasattr(linear, "bits") else 1)


def test_a_model_that_has_run_can_be_copied(host, noise):
    model = small(host)
    with vk.accelerate(model):
        before = logits(host, model, noise)
        copied = copy.deepcopy(model)
        assert mx.array_equal(logits(host, copied, noise), before)


def test_no_tokens_give_no_logits(host):
    """In MLX alone a quantised product of no rows ends the process."""
    model = small(host, "4-bit")
    if host.name == "mlx-audio":
        pytest.skip("mlx-audio multiplies by its own head, which ends the process without us too")
    with vk.accelerate(model):
        x = host.embed(model, mx.zeros((128, 240)))[:0]
        out = host.decode(model, x, host.new_cache(model, 64))
        mx.eval(out)
    assert out.shape[0] == 0
