"""The hosts' own mel against ours: how far each is off, whole and streamed."""

import mlx.core as mx
import numpy as np
import pytest

from bench import hosts
from voxtral_kernels.audio.mel import MelConfig, log_mel

CHUNK = 4 * hosts.SAMPLES_PER_TOKEN


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).normal(0, 0.1, 12 * CHUNK).astype(np.float32)


def voxmlx(samples):
    audio = hosts.host("voxmlx.audio")
    return audio.log_mel_spectrogram(samples), streamed(audio.log_mel_spectrogram_step, samples)


def whisperlivekit(samples):
    audio = hosts.host("whisperlivekit.voxtral_mlx.spectrogram")
    return audio.compute_mel(samples), streamed(audio.compute_mel_streaming, samples)


def mlx_audio(samples):
    audio = hosts.host("mlx_audio.stt.models.voxtral_realtime.audio")
    filters = mx.array(audio.compute_mel_filters(), dtype=mx.float32)
    mel = hosts.host("mlx_audio.stt.models.voxtral_realtime.streaming").StreamingMel(filters)
    parts = [mel.append(samples[i : i + CHUNK]) for i in range(0, len(samples), CHUNK)]
    return audio.compute_mel_spectrogram(mx.array(samples), filters), mx.concatenate([*parts, mel.close()], axis=1)


def streamed(step, samples):
    tail, parts = None, []
    for i in range(0, len(samples), CHUNK):
        part, tail = step(samples[i : i + CHUNK], tail)
        parts.append(part)
    return mx.concatenate(parts, axis=1)


# Largest difference from ours, in units of the normalised log-mel. float32 angles in a
# hand-written DFT cost little here (2e-3 on quiet speech); a shift by 120 samples costs everything.
@pytest.mark.parametrize(
    ("mel", "whole", "phase_is_right"),
    [(voxmlx, 0.01, False), (whisperlivekit, 0.01, False), (mlx_audio, 1e-3, True)],
    ids=["voxmlx", "whisperlivekit", "mlx-audio"],
)
def test_how_far_a_hosts_mel_is_from_ours(mel, whole, phase_is_right, samples):
    reference = log_mel(samples, MelConfig()).T[:, 4:-4]
    offs = [np.abs(np.array(m)[:, 4 : 4 + reference.shape[1]] - reference).max() for m in mel(samples)]
    print(f"{mel.__name__}: whole {offs[0]:.2g}, streamed {offs[1]:.2g}")
    assert offs[0] < whole
    assert (offs[1] < whole) == phase_is_right
