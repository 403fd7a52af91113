"""`accelerate` itself: what it refuses, reports, undoes, and leaves untouched."""

import inspect
import re
import sys
import warnings
from importlib import metadata

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

import voxtral_kernels as vk
from bench import hosts
from bench.hosts.offline import OFFLINE
from voxtral_kernels.patch import _accelerate, _patched
from voxtral_kernels.testing import assert_model_matches

EVERY = [*hosts.REALTIME, *OFFLINE]
IDS = [f"{h.name}-{type(h).__name__}" for h in EVERY]
every_host = pytest.mark.parametrize("any_host", EVERY, ids=IDS)


def fingerprint(model):
    """Identity of every object that hangs on the model: its modules, their children, arrays and attributes."""
    found = {}
    for path, module in [("", model), *model.named_modules()]:
        found[path] = id(module), type(module)
        for key, value in [*dict.items(module), *vars(module).items()]:
            items = value if isinstance(value, list) else [value]
            found[f"{path}:{key}"] = [id(value), *map(id, items)]
    return found


def everything_global():
    """Every name in the hosts' and MLX's modules, and in their classes."""
    found = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in {"voxmlx", "whisperlivekit", "mlx_audio", "mlx_voxtral", "mlx_lm", "mlx"}:
            for key, value in list(vars(module).items()):
                found[f"{name}.{key}"] = id(value)
                if isinstance(value, type):
                    found |= {f"{name}.{key}.{k}": id(v) for k, v in vars(value).items()}
    return found


@every_host
@pytest.mark.parametrize("semantics", ["right", "host"])
def test_undo_puts_back_the_same_objects_and_no_global_is_touched(any_host, semantics):
    model = any_host.small()
    before, around = fingerprint(model), everything_global()
    patched = vk.accelerate(model, semantics=semantics)
    assert fingerprint(model) != before
    assert everything_global() == around
    patched.undo()
    patched.undo()
    assert fingerprint(model) == before


@every_host
def test_parameters_keep_their_paths_and_arrays(any_host):
    from mlx.utils import tree_flatten

    model = any_host.small()
    before = tree_flatten(model.parameters())
    with vk.accelerate(model):
        after = tree_flatten(model.parameters())
        assert [path for path, _ in after] == [path for path, _ in before]
        assert all(a is b for (_, a), (_, b) in zip(after, before, strict=True))


@every_host
def test_the_report_names_every_module_and_why_others_stay(any_host):
    report = vk.accelerate(any_host.small()).report()
    paths = [change.path for change in report.replaced]
    assert sum("attention" in c.what for c in report.replaced) == (2 if any_host in OFFLINE else 4)
    assert len(set(paths)) == len(paths)
    assert all(change.what for change in report.left_alone)
    assert any_host.name in report.host
    for part in ("replaced:", "left alone:", "changes of meaning:"):
        assert part in str(report)


def test_only_the_model_given_changes(host, noise):
    first, second = host.small(), host.small()
    before = host.embed(second, noise)
    with vk.accelerate(first):
        assert mx.array_equal(host.embed(second, noise), before)
        with vk.accelerate(second, semantics="host"):
            assert_model_matches(host.embed(second, noise), np.array(before, np.float64), "the other's semantics")


@every_host
def test_a_second_accelerate_says_so(any_host):
    model = any_host.small()
    with vk.accelerate(model):
        before = fingerprint(model)
        with pytest.raises(ValueError, match="one that is accelerated already"):
            vk.accelerate(model)
        assert fingerprint(model) == before
    vk.accelerate(model).undo()


def test_undo_refuses_to_drop_what_was_put_there_since(host):
    model = host.small()
    patched = vk.accelerate(model)
    ours, model.encoder = model.encoder, nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"\[undo\] encoder.*: expected the .*Encoder that .* got Linear"):
        patched.undo()
    model.encoder = ours
    patched.undo()


@every_host
def test_an_older_version_is_refused_by_name(any_host, monkeypatch):
    model = any_host.small()
    before = fingerprint(model)
    monkeypatch.setattr(metadata, "version", lambda name: "0.0.1")
    with pytest.raises(ValueError, match=rf"{any_host.name} \d.* or later, got {any_host.name} 0\.0\.1\."):
        vk.accelerate(model)
    assert fingerprint(model) == before


@every_host
@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16], ids=str)
def test_a_later_version_of_the_same_structure_is_served(any_host, dtype, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "9.10.0rc1")
    model = any_host.small()
    model.set_dtype(dtype)
    before = fingerprint(model)
    with vk.accelerate(model) as patched:
        assert "9.10.0rc1" in patched.report().host
    assert fingerprint(model) == before


@every_host
def test_a_later_version_of_other_arithmetic_is_refused_by_name(any_host, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "9.10.0rc1")
    model = any_host.small()
    attention = next(
        m for path, m in model.named_modules() if re.match(r"(?!audio).*\.0\.(self_attn|attention)$", path)
    )

    class Doubled(type(attention)):
        def __call__(self, *args, **kwargs):
            result = super().__call__(*args, **kwargs)
            return (2 * result[0], None) if isinstance(result, tuple) else 2 * result

        __call__.__signature__ = inspect.signature(type(attention).__call__)

    for _, module in model.named_modules():
        if type(module) is type(attention):
            module.__class__ = Doubled
    before = fingerprint(model)
    with pytest.raises(ValueError, match=r"0rc1 \w+: expected the arithmetic of \d.*, got results that are .* off"):
        vk.accelerate(model)
    assert fingerprint(model) == before


def other_conv(model):
    conv = getattr(model.encoder, "conv2", None)
    (model.encoder.conv_layers_1_conv.conv if conv is None else conv).weight = mx.zeros((64, 4, 64))


def other_heads(model):
    layers = getattr(model.encoder, "layers", None) or getattr(model.encoder, "blocks", None)
    layer = (layers or model.encoder.transformer_layers)[1]
    (layer["attention"] if "attention" in layer else layer["self_attn"]).n_heads = 3


def other_method(model):
    class Encoder(type(model.encoder)):
        def forward_conv_step(self, mel, more):
            return mel

        conv_stem = forward_conv_incremental = forward_conv_step

    model.encoder.__class__ = Encoder


def no_window(model):
    del (model.encoder.config if hasattr(model.encoder, "config") else model.encoder).sliding_window


BROKEN = {
    other_conv: r"conv.*weight: expected \[C_out, 3, C_in\], got \(64, 4, 64\)",
    other_heads: r"1\.(self_attn|attention)\..*: expected 96 outputs, got 64",
    other_method: r"encoder: expected .*\(.*\), got .*\(mel, more\)",
    no_window: r"sliding_window: expected int, got NoneType",
}


@pytest.mark.parametrize("change", BROKEN, ids=lambda f: f.__name__)
def test_a_changed_structure_is_refused_by_name_before_any_change(host, change):
    model = host.small()
    if change is no_window and host.name == "mlx-audio":
        model.encoder.config.sliding_window = None
    else:
        change(model)
    before = fingerprint(model)
    with pytest.raises(ValueError, match=rf"{host.name} \d.*{BROKEN[change]}"):
        vk.accelerate(model)
    assert fingerprint(model) == before


@pytest.mark.parametrize("model", [nn.Linear(2, 2), None, "voxmlx"], ids=["Linear", "None", "str"])
def test_another_kind_of_model_is_refused(model):
    with pytest.raises(ValueError, match=r"expected a Voxtral model of voxmlx 0\.0\.2, .* or later, got "):
        vk.accelerate(model)


def test_our_own_model_needs_none(ours):
    with pytest.raises(ValueError, match="which uses the kernels as it is"):
        vk.accelerate(ours)


@pytest.mark.parametrize(
    ("argument", "value"), [("semantics", "x"), ("decoder_window", 0), ("decoder_window", 2.5), ("cache_bits", 4)]
)
def test_a_bad_argument_is_refused(argument, value):
    with pytest.raises(ValueError, match=rf"\[accelerate\] {argument}: expected .*, got {value!r}|got '{value}'"):
        vk.accelerate(hosts.Voxmlx().small(), **{argument: value})


def test_disabled_changes_nothing_and_says_so_once(host, monkeypatch):
    monkeypatch.setenv("VOXTRAL_KERNELS_DISABLE", "1")
    monkeypatch.setattr(_accelerate, "_said_disabled", False)
    model = host.small()
    before = fingerprint(model)
    with pytest.warns(UserWarning, match="VOXTRAL_KERNELS_DISABLE is set"):
        patched = vk.accelerate(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = vk.accelerate(model)
    assert fingerprint(model) == before
    assert not patched.report().replaced
    assert "DISABLE" in again.report().host
    patched.undo()
    monkeypatch.setenv("VOXTRAL_KERNELS_DISABLE", "0")
    assert vk.accelerate(model).report().replaced


def test_a_session_from_before_accelerate_is_told_to_start_anew(host, noise):
    model = host.small()
    embeds, cache = host.embed(model, noise), host.new_cache(model, 4096)
    host.decode(model, embeds[:4], cache)
    with vk.accelerate(model), pytest.raises(ValueError, match=r"4 positions from before .*: start a new session"):
        host.decode(model, embeds[4:5], cache)


def test_a_session_from_before_undo_is_told_to_start_anew(host, noise):
    model = host.small()
    with vk.accelerate(model):
        embeds, cache = host.embed(model, noise), host.new_cache(model, 4096)
        host.decode(model, embeds[:4], cache)
    with pytest.raises(ValueError, match=r"after undo\(\).*start a new session"):
        host.decode(model, embeds[4:5], cache)


def test_a_cache_moved_from_outside_is_refused(host, noise):
    model = host.small()
    with vk.accelerate(model):
        embeds, cache = host.embed(model, noise), host.new_cache(model, 4096)
        host.decode(model, embeds[:4], cache)
        name = "offset" if host.name == "mlx-audio" else "_offset"
        setattr(cache[1], name, 2)
        with pytest.raises(ValueError, match="expected a cache at position 4, got one moved to 2"):
            host.decode(model, embeds[4:5], cache)


def test_a_swap_of_an_attribute_that_was_there_puts_it_back():
    class Plain:
        pass

    holder = Plain()
    holder.name = first = object()
    swap = _patched.Swap(holder, "name", object(), "name")
    swap.apply()
    swap.undo()
    assert holder.name is first
