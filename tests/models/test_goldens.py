"""The stages against transformers: within 1e-4 of the largest value in float32, in batch and in streaming."""

import dataclasses

import mlx.core as mx
import numpy as np
import pytest

from voxtral_kernels.models.voxtral_realtime.decoder import time_embedding
from voxtral_kernels.models.voxtral_realtime.model import VoxtralRealtime

DELAYS = (1, 6, 30)
TIMES = ("float32", "bfloat16")
# Encoder frames and decoder tokens a chunk: one, odd, below, at and above the windows of 16 and 24.
CHUNKS = (1, 3, 16, 24, 37)


def difference(got, expected):
    return float(mx.abs(got - expected).max() / mx.abs(expected).max())


def assert_close(got, expected):
    assert got.shape == expected.shape
    assert difference(got, expected) <= 1e-4


def split(x, size):
    return [x[:, i : i + size] for i in range(0, x.shape[1], size)]


def logits(model, golden, delay, time, chunk=None, offset=0):
    """Logits of the golden's ids and audio, whole or in chunks of tokens through the caches."""
    decoder = model.decoder
    x = decoder.embed(golden["input_ids"]) + golden["audio_embeds"]
    scales = decoder.scales(delay, getattr(mx, time))
    if chunk is None:
        return decoder.logits(decoder(x, scales))
    caches = decoder.new_caches(offset)
    return decoder.logits(mx.concatenate([decoder(part, scales, caches) for part in split(x, chunk)], axis=1))


def encode(model, mel, frames, offset=0):
    """Encoder output of mel frames fed in chunks through the state."""
    state, out = None, []
    caches = model.encoder.new_caches(offset)
    for part in split(mel, frames):
        x, state = model.stem(part, state)
        if x.shape[1]:
            out.append(model.encoder(x, caches))
    return mx.concatenate(out, axis=1)


def test_batch_stages(golden, golden_model):
    stem, _ = golden_model.stem(golden["mel"])
    assert_close(stem, golden["stem"])
    assert_close(golden_model.encoder(stem), golden["encoder"])
    assert_close(golden_model.adapter(golden["encoder"]), golden["audio_embeds"])
    assert_close(golden_model.embed_audio(golden["mel"]), golden["audio_embeds"])


@pytest.mark.parametrize("frames", CHUNKS)
def test_streaming_encoder(golden, golden_model, frames):
    assert_close(encode(golden_model, golden["mel"], frames), golden["encoder"])


def test_streaming_audio_embeddings(golden, golden_model):
    state = golden_model.new_audio_state()
    parts = [golden_model.embed_audio(part, state) for part in split(golden["mel"], 8)]
    assert_close(mx.concatenate(parts, axis=1), golden["audio_embeds"])


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("delay", DELAYS)
def test_batch_logits(golden, golden_model, delay, time):
    assert_close(logits(golden_model, golden, delay, time), golden[f"logits.{time}.{delay}"])


@pytest.mark.parametrize(("delay", "chunk"), [*zip(DELAYS, CHUNKS, strict=False), (6, 24), (6, 37)])
def test_streaming_logits(golden, golden_model, delay, chunk):
    assert_close(logits(golden_model, golden, delay, "float32", chunk), golden[f"logits.float32.{delay}"])


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("delay", DELAYS)
def test_time_embedding(golden, delay, time):
    expected = golden[f"time.{time}.{delay}"]
    got = time_embedding(delay, expected.shape[0], getattr(mx, time))
    np.testing.assert_allclose(
        np.array(got.astype(mx.float32)), np.array(expected), atol=1e-6 if time == "float32" else 0
    )


def test_the_time_embeddings_dtype_matters(golden, golden_model):
    wrong = logits(golden_model, golden, 30, "bfloat16")
    assert difference(wrong, golden["logits.float32.30"]) > 1e-3


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("part", ["encoder", "decoder"])
@pytest.mark.parametrize("streaming", [False, True], ids=["batch", "streaming"])
def test_a_window_off_by_one_is_seen(golden, golden_folder, part, change, streaming):
    model = VoxtralRealtime.load(golden_folder / "mistral")
    stage = getattr(model, part)
    stage.config = dataclasses.replace(stage.config, window=stage.config.window + change)
    for block in stage.blocks:
        block.attention.window += change
    if part == "encoder":
        got = encode(model, golden["mel"], 6) if streaming else model.encoder(model.stem(golden["mel"])[0])
        expected, first = golden["encoder"], stage.config.window
    else:
        got = logits(model, golden, 6, "float32", 3 if streaming else None)
        expected, first = golden["logits.float32.6"], stage.config.window
    first = min(first, first - change)  # positions before it see the same keys under either window
    assert_close(got[:, :first], expected[:, :first])
    assert difference(got[:, first : first + 1], expected[:, first : first + 1]) > 1e-3


def test_an_offset_of_a_million_changes_nothing(golden, golden_model):
    assert_close(encode(golden_model, golden["mel"], 6, offset=4_000_000), golden["encoder"])
    got = logits(golden_model, golden, 6, "float32", 5, offset=1_000_000)
    assert_close(got, golden["logits.float32.6"])


@pytest.mark.parametrize("layout", ["transformers", "converted"])
def test_layouts_agree(golden, golden_folder, golden_model, layout):
    model = VoxtralRealtime.load(golden_folder / layout)
    assert model.config == golden_model.config
    assert mx.array_equal(model.embed_audio(golden["mel"]), golden_model.embed_audio(golden["mel"]))
    got, expected = (logits(m, golden, 6, "float32") for m in (model, golden_model))
    assert mx.array_equal(got, expected)


@pytest.mark.parametrize("frames", [4, 12])
def test_the_adapter_refuses_part_of_a_token(golden, golden_model, frames):
    golden_model.adapter(golden["encoder"][:, :frames])
    with pytest.raises(ValueError, match=rf"\[adapter\] frames: expected a multiple of 4 frames, got {frames + 1}\."):
        golden_model.adapter(golden["encoder"][:, : frames + 1])
