"""The tiny checkpoint end to end with every op on the emulator: the tokens of `composed`."""

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.backends import emulated

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def model():
    return vk.load("tiny")


def tokens(model, recording, backend, **settings):
    with vk.use_backend(backend), emulated.settings(**settings):
        return model.transcribe(recording).tokens


def test_three_seconds_give_the_same_tokens(model):
    samples = load_audio(EXAMPLES / "human-card-1.wav")[:48_000]
    expected = tokens(model, samples, "composed")
    assert tokens(model, samples, "emulator", mode="plain") == expected
    assert len(set(expected)) > 3, "some words"


@pytest.mark.soak
@pytest.mark.parametrize("recording", ["human-card-1.wav", "human-go-forward.wav"])
def test_a_recording_gives_the_same_tokens_in_checked_mode(model, recording):
    recording = EXAMPLES / recording
    assert tokens(model, recording, "emulator", mode="checked") == tokens(model, recording, "composed")


@pytest.mark.soak
def test_a_stream_in_feeds_of_80_ms_gives_the_same_tokens(model):
    samples = load_audio(EXAMPLES / "human-card-1.wav")
    stream = model.stream()
    with vk.use_backend("emulator"):
        for start in range(0, len(samples), 1280):
            stream.feed(samples[start : start + 1280])
        stream.finish()
    assert list(stream.tokens) == list(tokens(model, samples, "composed"))


@pytest.mark.soak
def test_audio_is_the_same_bits_in_chunks_of_80_and_of_240_ms():
    """Stem, encoder and adapter, past the window's end; in float32, which hides nothing."""
    model = vk.load("tiny", dtype=mx.float32)
    per_token, rng = model.config.mel_per_token, np.random.default_rng(0)
    mel = mx.array(rng.normal(size=(1, 15 * per_token, model.config.encoder.n_mels)).astype(np.float32))
    heard = []
    with vk.use_backend("emulator"), emulated.settings(mode="plain"):
        for tokens in (1, 3):
            state, n = model.new_audio_state(), tokens * per_token
            pieces = [model.embed_audio(mel[:, at : at + n], state) for at in range(0, mel.shape[1], n)]
            heard.append(np.array(mx.concatenate(pieces, axis=1).astype(mx.float32)).view(np.uint32))
    assert np.array_equal(*heard)
