"""Streams that hold keys and values in 8 bits, and the ways to ask for them."""

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from bench.suites import cache_bits
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.cli import main

AUDIO = "examples/human-card-1.wav"


@pytest.fixture(scope="module")
def model():
    return vk.load("tiny")


def caches(stream):
    return [*stream._decoding.caches, *stream._audio.caches]


@pytest.mark.parametrize("backend", ["native", "composed"])
def test_a_stream_of_8_bits_says_what_one_of_16_says(model, backend):
    samples = load_audio(AUDIO)[: 16000 * 8]
    with vk.use_backend(backend):
        texts, sizes = {}, {}
        for bits in (16, 8):
            stream = model.stream(cache_bits=bits)
            for start in range(0, len(samples), 16000):
                stream.feed(samples[start : start + 16000])
            stream.finish()
            assert {c.bits for c in caches(stream)} == {bits}
            texts[bits], sizes[bits] = stream.text, sum(c._ring.nbytes for c in caches(stream))
    assert texts[8] == texts[16] != ""
    assert sizes[8] < 0.55 * sizes[16]  # rows of 32 and 48: a scale is 4 bytes more


def test_a_recording_and_an_async_stream_take_the_bits(model):
    samples = np.zeros(16000, np.float32)
    assert model.transcribe(samples, cache_bits=8).tokens == model.transcribe(samples).tokens
    stream = vk.AsyncStream(model, cache_bits=8)
    assert {c.bits for c in caches(stream._stream)} == {8}


@pytest.mark.parametrize("bits", [4, 32, "8", None], ids=repr)
def test_bits_that_are_none_are_refused(model, bits):
    message = r"^\[stream\] cache_bits: expected 16 \(the dtype of the keys\) or 8, got "
    with pytest.raises(ValueError, match=message):
        model.stream(cache_bits=bits)
    with pytest.raises(ValueError, match=message):
        model.transcribe(np.zeros(1600, np.float32), cache_bits=bits)


def test_the_command_takes_8_and_refuses_others(capsys):
    said = {}
    for bits in ("16", "8", "4"):
        code = main(["transcribe", AUDIO, "--model", "tiny", "--cache-bits", bits])
        said[bits] = code, capsys.readouterr()
    assert said["8"][0] == said["16"][0] == 0
    assert said["8"][1].out == said["16"][1].out != ""
    assert said["4"][0] != 0
    assert "--cache-bits: expected 16 (the dtype of the keys) or 8, got 4." in said["4"][1].err


HOUR = 45_000  # positions of the decoder


def drift(model, samples, offset):
    """Largest and root mean square difference of a logit while the tokens agree, and tokens that differ."""
    (_, tokens, logits), (_, expected, truth) = (cache_bits.heard(model, samples, bits, offset) for bits in (8, 16))
    same = cache_bits.agreed(tokens, expected) + 1
    off = np.array([a[-1] - b[-1] for a, b in zip(logits[:same], truth[:same], strict=True)])
    return np.abs(off).max(), np.sqrt(np.mean(off**2)), sum(a != b for a, b in zip(tokens, expected, strict=True))


@pytest.mark.soak
def test_ten_hours_of_a_stream_drift_no_more_than_the_first(examples):
    """A minute of audio at five places of the first hour, and once in each later one."""
    model, samples = vk.load("tiny", dtype="float32"), load_audio(examples / "one-minute.wav")
    first = [drift(model, samples, offset) for offset in range(0, HOUR, HOUR // 5)]
    later = [drift(model, samples, hour * HOUR) for hour in range(1, 10)]
    for name, rows in (("first hour", first), ("later", later)):
        print(name, *(f"largest {a:.3f}, root mean square {b:.5f}, {n} tokens differ;" for a, b, n in rows))
    # The largest of a minute's is a draw from a long tail: within the first hour alone it differs by a factor of 2.
    assert max(row[1] for row in later) <= 1.1 * max(row[1] for row in first)
    assert max(row[2] for row in later) <= max(row[2] for row in first)


@pytest.mark.soak
def test_ten_hours_of_one_cache_drift_no_more_than_the_first():
    """450,000 positions through one ring of the decoder's size, a piece of each hour attended token by token."""
    rng, caches = np.random.default_rng(0), {bits: vk.RingKVCache(8192, bits=bits) for bits in (8, 16)}
    errors = []
    for position in range(0, 10 * HOUR, 500):
        q, k, v = (mx.array(rng.normal(size=(1, h, 500, 128)).astype(np.float32)) for h in (2, 1, 1))
        alone = 20 if position % HOUR == HOUR - 500 else 0
        for cache in caches.values():
            cache.append(k[:, :, : 500 - alone], v[:, :, : 500 - alone])
        outs = {bits: [] for bits in caches}
        for i in range(500 - alone, 500):
            for bits, cache in caches.items():
                step = (a[:, :, i : i + 1] for a in (q, k, v))
                outs[bits].append(vk.sliding_window_attention(*step, cache=cache))
        if alone:
            eight, full = (mx.concatenate(outs[bits], axis=2) for bits in (8, 16))
            errors.append(float(mx.sqrt(mx.mean((eight - full) ** 2) / mx.mean(full**2))))
        mx.eval([cache.state for cache in caches.values()])
    print("root mean square of the difference by hour:", *(f"{e:.5f}" for e in errors))
    assert len(errors) == 10
    assert max(errors[1:]) <= 1.1 * errors[0]
