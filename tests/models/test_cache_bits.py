"""Streams that hold keys and values in 8 bits, and the ways to ask for them."""

import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.cli import main

AUDIO = "examples/human-card-1.wav"


@pytest.fixture(scope="module")
def model():
    return vk.load("tiny")


def caches(stream):
    return [*stream._caches, *stream._audio.caches]


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
