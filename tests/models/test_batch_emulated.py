"""Batches on the shaders, emulated: a step of eight streams reads every weight once; company changes no token."""

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from tests.models.test_batch import play
from tests.models.test_drafts_emulated import reports  # noqa: F401 - a fixture
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.backends import emulated
from voxtral_kernels.models.voxtral_realtime.decoding import Decoding
from voxtral_kernels.models.voxtral_realtime.rows import Rows, Turn


@pytest.mark.soak
def test_eight_streams_read_the_weights_once(reports):  # noqa: F811
    """Delays and positions differ, so that every row has a rotation and a scale of its own."""
    model = vk.load("tiny")
    decoder, read = model.decoder, {}
    audio = mx.random.normal((1, 1, decoder.config.dim)).astype(model.dtype)
    with vk.use_backend("emulator"), emulated.settings(mode="counted"):
        for n in (1, 8):
            rows = Rows(model)
            streams = [
                Decoding(model, [1], 1 + i, offset=7 * i, cache_bits=16, drafts=None, always=False) for i in range(n)
            ]
            for _ in range(2):
                reports.clear()
                turns = [Turn(d.known(1), audio, d) for d in streams]
                for turn, token in zip(turns, rows.said(turns), strict=True):
                    turn.decoding.advance(1, token)
            read[n] = sum(r["weight"]["bytes_read"] for r in reports if "weight" in r)
    print(f"weight bytes a stream: {read[8] / 8 / read[1]:.4f} of alone")
    assert read[8] / 8 <= 0.13 * read[1]


@pytest.mark.soak
def test_company_changes_no_token(examples):
    clip = load_audio(examples / "human-card-1.wav")
    streams = [(2 * i, 80 * (1 + i), 900 * i, 2600, [1500], 80, i == 1) for i in range(3)]
    with vk.use_backend("emulator"), emulated.settings(mode="checked"):
        play(vk.load("tiny", dtype=mx.float32), clip, (3, streams))
