"""Offline Voxtral's stages against transformers, on every backend that is there; batches; what each stage refuses."""

import dataclasses
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.backends import select
from voxtral_kernels.models.voxtral import ConvStem, Voxtral
from voxtral_kernels.models.voxtral.weights import sinusoids
from voxtral_kernels.testing import OPS, assert_model_matches, use_backend

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "voxtral"
GOLDEN = mx.load(str(FOLDER / "data.safetensors"))
IDS = GOLDEN["input_ids"][0].tolist()


@pytest.fixture(scope="module")
def model():
    return Voxtral.load(FOLDER / "transformers")


@pytest.fixture(params=select.BACKENDS)
def backend(request):
    """Each backend that serves all the ops here."""
    if request.param == "emulator":
        pytest.importorskip("voxtral_kernels._emulator")
    for op in OPS:
        try:
            select.load(request.param, op)
        except select.UnavailableError as reason:
            pytest.skip(f"{request.param}: {reason}")
    if request.param == "metal" and mx.default_device() == mx.cpu:
        pytest.skip("metal needs a GPU")
    with use_backend(request.param):
        yield request.param


def assert_golden(out, name):
    expected = np.array(GOLDEN[name])
    assert_model_matches(out, expected.reshape(out.shape) if name == "audio_embeds" else expected, name)


def test_stages(backend, model):
    stem, mel = model.encoder.stem, GOLDEN["mel"]
    assert_golden(stem.conv1(mel, gelu=False), "conv1")
    assert_golden(stem.conv1(mel), "conv1_gelu")
    assert_golden(stem.convs(mel), "conv2")
    assert_golden(stem(mel), "stem")
    assert_golden(model.encoder(mel), "encoder")
    assert_golden(model.projector(GOLDEN["encoder"]), "audio_embeds")
    assert_golden(model.embed_audio(mel), "audio_embeds")


def test_logits(backend, model):
    assert_golden(model.logits(IDS, model.embed_audio(GOLDEN["mel"])), "logits")


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_a_batch_of_three_equals_three_singles(model, batch):
    mel = GOLDEN["mel"]
    singles = mx.concatenate([model.embed_audio(mel[i : i + 1]) for i in range(3)])
    assert_model_matches(model.embed_audio(mel, batch=batch), np.array(singles), f"batch {batch}")
    for stage in (model.encoder.stem.conv1, model.encoder.stem.convs, model.encoder.stem, model.encoder):
        singles = mx.concatenate([stage(mel[i : i + 1]) for i in range(3)])
        assert_model_matches(stage(mel), np.array(singles), "stage")


def test_chunks_do_not_see_each_other(model):
    mel = GOLDEN["mel"]
    other = mx.concatenate([mel[:1], mel[1:] * 3 + 1])
    assert mx.array_equal(model.encoder(mel)[0], model.encoder(other)[0])


def test_a_shorter_chunk_takes_the_first_positions(model):
    stem, mel = model.encoder.stem, GOLDEN["mel"][:, :17]
    expected = stem.convs(mel) + stem.positions[:9]
    assert stem(mel).shape == (3, 9, 32)
    assert mx.array_equal(stem(mel), expected)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_half_precision(dtype):
    model = Voxtral.load(FOLDER / "transformers", dtype)
    out = model.encoder(GOLDEN["mel"].astype(dtype))
    assert out.dtype == dtype
    assert model.encoder.stem.positions.dtype == mx.float32
    expected = GOLDEN["encoder"]
    bound = 0.02 if dtype == mx.float16 else 0.1
    assert mx.abs(out.astype(mx.float32) - expected).max().item() <= bound * mx.abs(expected).max().item()
    logits = model.logits(IDS, model.embed_audio(GOLDEN["mel"]))
    assert logits.dtype == dtype


def test_float16_stays_finite():
    model = Voxtral.load(FOLDER / "transformers", mx.float16)
    block = model.encoder.blocks[0]
    block.down.bias = mx.full(block.down.bias.shape, 65000, mx.float16)
    x = mx.full((1, 2, 32), 65000, mx.float16)
    assert mx.abs(block(x)).max().item() == 64512  # 64504, the limit, rounded to float16


def test_sinusoids_are_whispers():
    table = np.array(sinusoids(1500, 1280))
    assert table.shape == (1500, 1280)
    rate = 10000.0 ** (-7 / 639)
    np.testing.assert_allclose(
        table[123, [0, 7, 640, 647]], np.r_[np.sin([123, 123 * rate]), np.cos([123, 123 * rate])]
    )


def test_mel_is_that_of_transformers_processor():
    golden = np.load(FOLDER / "mel.npz")
    samples = load_audio(FOLDER.parents[2] / "examples" / "one-minute.wav")[: int(golden["samples"])]
    model = Voxtral.load(FOLDER / "transformers")
    encoder = dataclasses.replace(model.config.encoder, max_positions=1500, n_mels=128)
    model.config = dataclasses.replace(model.config, encoder=encoder)
    mel = model.log_mel(samples)
    assert mel.shape == (2, 3000, 128)
    # It computes in float32: the bound is its noise near the floor.
    np.testing.assert_allclose(mel[:, golden["rows"]], golden["mel"], rtol=0, atol=2e-5)


MEL = "[B, F, 16] with B and F >= 1"


@pytest.mark.parametrize(
    ("shape", "expected", "got"),
    [
        ((3, 82, 16), "at most 80 frames (max_source_positions 40)", "82"),
        ((3, 0, 16), MEL, "shape (3, 0, 16)"),
        ((0, 80, 16), MEL, "shape (0, 80, 16)"),
        ((3, 80, 0), MEL, "shape (3, 80, 0)"),
        ((3, 80, 15), MEL, "shape (3, 80, 15)"),
        ((80, 16), MEL, "shape (80, 16)"),
    ],
)
def test_the_stem_refuses(model, shape, expected, got):
    stages = [model.encoder.stem, model.encoder]
    if "positions" not in expected:
        stages += [model.encoder.stem.conv1, model.encoder.stem.convs]
    for stage in stages:
        with pytest.raises(ValueError, match=r"^\[conv_stem\] mel: ") as error:
            stage(mx.zeros(shape))
        assert str(error.value) == f"[conv_stem] mel: expected {expected}, got {got}."


def test_the_stem_refuses_another_dtype(model):
    with pytest.raises(ValueError, match=r"^\[conv_stem\] mel: expected float32, got float16\.$"):
        model.encoder(GOLDEN["mel"].astype(mx.float16))


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ((1, 6, 32), "[projector] frames: expected a multiple of 4 frames, got 6."),
        ((1, 0, 32), "[projector] frames: expected [B, T, 32] with B and T >= 1, got shape (1, 0, 32)."),
        ((0, 8, 32), "[projector] frames: expected [B, T, 32] with B and T >= 1, got shape (0, 8, 32)."),
        ((1, 8, 31), "[projector] frames: expected [B, T, 32] with B and T >= 1, got shape (1, 8, 31)."),
    ],
)
def test_the_projector_refuses(model, shape, error):
    with pytest.raises(ValueError, match=r"^\[projector\]") as raised:
        model.projector(mx.zeros(shape))
    assert str(raised.value) == error


def test_audio_that_is_no_audio(model):
    for mel in (mx.zeros((0, 80, 16)), mx.zeros((80, 16))):
        with pytest.raises(ValueError, match=r"^\[embed_audio\] mel: expected \[n_chunks, F, n_mels\], each at "):
            model.embed_audio(mel)
    with pytest.raises(ValueError, match=r"^\[embed_audio\] batch: expected an integer >= 1, got 0\.$"):
        model.embed_audio(GOLDEN["mel"], batch=0)
    with pytest.raises(ValueError, match=r"^\[log_mel\] samples: expected at least one, got none\.$"):
        model.log_mel(np.zeros(0, np.float32))


@pytest.mark.parametrize("change", [-1, 1])
def test_the_count_of_placeholders_must_match(model, change):
    audio = model.embed_audio(GOLDEN["mel"])
    ids = IDS[:3] + [24] * (audio.shape[0] + change) + IDS[-4:]
    expected = (
        rf"^\[merge\] ids: expected 30 placeholders \(id 24\), one for each audio embedding, got {30 + change}\.$"
    )
    with pytest.raises(ValueError, match=expected):
        model.logits(ids, audio)


def test_audio_replaces_the_placeholders_embedding(model):
    """A port that adds it to the placeholder's embedding gives other logits."""
    audio = model.embed_audio(GOLDEN["mel"])
    embedding = model.decoder.embedding
    before = model.logits(IDS, audio)
    weight = embedding.weight
    embedding.weight = mx.where(mx.arange(96)[:, None] == 24, 100.0, weight)
    after = model.logits(IDS, audio)
    embedding.weight = weight
    assert mx.array_equal(before, after)


def test_conv_stem_stands_alone():
    x = mx.random.normal((2, 5, 3))
    stem = ConvStem(mx.ones((4, 3, 3)), mx.zeros(4), mx.ones((4, 3, 4)), mx.zeros(4), mx.zeros((3, 4)))
    assert stem.conv1(x, gelu=False).shape == (2, 5, 4)
    assert stem(x).shape == (2, 3, 4)
