"""Offline hosts: the same numbers with our conv stem, attention and cache, quantised too, and undone."""

import json

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

import voxtral_kernels as vk
from bench import hosts
from bench.hosts import offline
from bench.hosts.offline import OFFLINE
from voxtral_kernels.testing import assert_model_matches


@pytest.fixture(params=OFFLINE, ids=lambda host: host.name)
def host(request):
    return request.param


def _quantizable(path, module):
    return hasattr(module, "to_quantized") and "embed_positions" not in path


@pytest.mark.parametrize("bits", ["float32", "4-bit"])
def test_the_numbers_are_the_hosts_and_undo_gives_its_bits(host, bits):
    model = host.small()
    if bits == "4-bit":
        nn.quantize(model, group_size=32, bits=4, class_predicate=_quantizable)
    before = host.outputs(model)
    for semantics in ("host", "right"):
        with vk.accelerate(model, semantics=semantics) as patched:
            for name, out in host.outputs(model).items():
                assert_model_matches(out, np.array(before[name], np.float64), f"{host.name} {name}")
        assert not patched.report().changes
    for name, out in host.outputs(model).items():
        assert mx.array_equal(out, before[name]), f"{name} after undo()"


def test_an_accelerated_host_equals_our_own_model(host, tmp_path):
    model = host.small()
    mx.save_safetensors(str(tmp_path / "model.safetensors"), dict(tree_flatten(model.parameters())))
    (tmp_path / "config.json").write_text(json.dumps(offline.CONFIG))
    ours = vk.load(tmp_path, dtype="float32")
    audio = ours.embed_audio(offline.noise(1, 24, 128))
    logits = np.array(ours.logits(offline.prompt(), audio)[0], np.float64)
    with vk.accelerate(model):
        out = host.whole(model, mx.array(offline.noise(1, 24, 128)))
    assert_model_matches(out, logits, "logits")


def test_a_padding_mask_goes_to_the_hosts_own_attention(host):
    model = host.small()
    before = host.masked(model)
    with vk.accelerate(model):
        assert_model_matches(host.masked(model), np.array(before, np.float64), "masked")


def test_the_hosts_own_generation_gives_the_same_tokens(host):
    model = host.small()
    before = host.generate(model)
    with vk.accelerate(model):
        assert host.generate(model) == before
    assert len(set(before)) > 1


def test_a_decoder_window_is_refused(host):
    with pytest.raises(ValueError, match=r"decoder_window: expected None, as .* no window, got 9\."):
        vk.accelerate(host.small(), decoder_window=9)


@pytest.mark.parametrize("name", ["conv1", "conv2"])
def test_a_stem_with_other_padding_is_refused(host, name):
    model = host.small()
    model.audio_tower[name].padding = 2
    with pytest.raises(ValueError, match=rf"audio_tower\.{name}\.padding: expected 1, got 2\."):
        vk.accelerate(model)
    assert type(model.audio_tower).__module__.startswith(hosts.host(type(model).__module__).__name__.partition(".")[0])
