"""A model over several ranks: the tokens of one process, from a share of the weights, and one error on all of them."""

import json
import math
import shutil
import time
from types import SimpleNamespace

import mlx.core as mx
import numpy as np
import pytest

from bench.measure.random_model import FULL
from tests.models.split import on_ranks, write_model
from voxtral_kernels.models import hub
from voxtral_kernels.models.convert import convert
from voxtral_kernels.models.ranks import LATER_S, TIMEOUT, Watch, common_seed
from voxtral_kernels.models.shares import part
from voxtral_kernels.models.voxtral.model import Voxtral
from voxtral_kernels.models.voxtral_realtime.model import VoxtralRealtime
from voxtral_kernels.models.voxtral_realtime.weights import tensor_shapes

GOLDEN = {VoxtralRealtime: "voxtral_realtime", Voxtral: "voxtral"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random model that 4 ranks divide, but for its vocabulary; its closing projections have biases."""
    folder = tmp_path_factory.mktemp("split")
    write_model(folder)
    return folder


def sweep(n=8000):
    """A tone that rises and grows, so that frames differ."""
    return (np.sin(np.cumsum(np.linspace(0.02, 1.5, n))) * np.linspace(0, 0.5, n)).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "bits"),
    [(4, 4), *(pytest.param(*case, marks=pytest.mark.soak) for case in ((2, None), (4, None), (2, 4)))],
)
def test_tokens_are_those_of_one_process(folder, tmp_path, size, bits):
    if bits:
        convert(folder, tmp_path / "packed", bits=bits, group_size=32)
        folder = tmp_path / "packed"
    samples = sweep()

    def tokens(ranks=None):
        model = VoxtralRealtime.load(folder, mx.float32, ranks=ranks)
        stream = model.stream(drafts=False)
        for start in range(0, len(samples), 5000):
            stream.feed(samples[start : start + 5000])
        stream.finish()
        return stream.tokens, model.ranks

    expected, _ = tokens()
    assert len(set(expected)) > 2
    for found, ranks in on_ranks(size, tokens):
        assert found == expected
        assert ranks.read == ranks.shares[ranks.rank].read < ranks.shares[ranks.rank].whole


@pytest.mark.parametrize("size", [2, 4])
def test_share_of_the_published_model(size):
    """What a rank holds of the 4B model's tensors, in bytes of one dtype."""
    shapes = tensor_shapes(FULL)
    whole = sum(map(math.prod, shapes.values()))
    for rank in range(size):
        held = sum(held_of(name, shape, SimpleNamespace(rank=rank, size=size)) for name, shape in shapes.items())
        assert held < (1 / size + 0.001) * whole


def held_of(name, shape, ranks):
    (first, last), (left, right) = part(name, shape, FULL, ranks)
    return (last - first) * (math.prod(shape[1:]) if len(shape) != 2 else right - left)


@pytest.mark.parametrize("family", GOLDEN)
@pytest.mark.parametrize("layout", ["mistral", "transformers"])
def test_logits_of_the_goldens(golden_folder, family, layout):
    """Queries of one key/value head on two ranks, rows in the order of either form of RoPE, a head that is not tied."""
    path = golden_folder.parent / GOLDEN[family] / layout
    realtime = family is VoxtralRealtime

    def logits(ranks=None):
        model = family.load(path, mx.float32, ranks=ranks)
        c, ids = model.config, mx.array([[1, 5, 9, 95]])
        frames = 4 * c.mel_per_token if realtime else c.chunk_frames
        mel = mx.array(np.random.default_rng(0).normal(0, 1, (1, frames, c.encoder.n_mels)).astype(np.float32))
        audio = model.embed_audio(mel)
        decoder = model.decoder
        x = decoder.embed(ids) + (audio[:, :4] if realtime else audio[None, :4])
        hidden = decoder(x, decoder.scales(3, mx.float32)) if realtime else decoder(x)
        shares = [s.read / s.whole for s in model.ranks.shares] if ranks else []
        return np.array(audio), np.array(decoder.logits(hidden)), np.array(decoder.likeliest(hidden)), shares

    audio, expected, best, _ = logits()
    for found in on_ranks(2, logits):
        for a, b in ((found[0], audio), (found[1], expected)):
            assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max()
        np.testing.assert_array_equal(found[2], best)
        assert max(found[3]) <= 0.55


def test_one_error_on_every_rank(folder, tmp_path):
    def errors(size, folders, **options):
        found = on_ranks(size, lambda r: VoxtralRealtime.load(folders[r.rank % len(folders)], ranks=r, **options))
        assert all(isinstance(error, ValueError) for error in found), found
        return [str(error) for error in found]

    tiny = hub.find("tiny")
    expected = "[load] ranks: expected a number that divides the decoder's 6 heads, got 4."
    assert errors(4, [tiny]) == [expected] * 4
    for text in errors(2, [tiny, folder]):
        assert "[ranks] checkpoint: expected the same on every rank, got another than rank 0's on rank 1." in text
    first, second = errors(2, [tiny, tmp_path])
    assert second == first.removeprefix("rank 1: ")
    assert "config.json" in second
    convert(folder, tmp_path / "packed", bits=4, group_size=64)
    for text in errors(4, [tmp_path / "packed"]):
        assert "splits every matrix on its groups' boundaries, got 4 for" in text


def test_a_weight_that_is_no_number_is_told_on_every_rank(folder, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    tensors = dict(mx.load(str(damaged / "model.safetensors")))
    tensors["encoder.layers.0.mlp.up_proj.weight"][-1, 0] = mx.nan  # of the last rank
    mx.save_safetensors(str(damaged / "model.safetensors"), tensors)
    found = on_ranks(2, lambda ranks: VoxtralRealtime.load(damaged, ranks=ranks))
    assert all("NaN or infinity in encoder.layers.0.mlp.up_proj.weight" in str(error) for error in found), found


def test_drafts_are_refused(folder):
    found = on_ranks(2, lambda ranks: VoxtralRealtime.load(folder, ranks=ranks).stream(drafts=True))
    assert all(str(e).startswith("[ranks] drafts: expected None or False") for e in found), found


def test_draws_are_the_same_on_every_rank():
    seeds = on_ranks(3, lambda ranks: (common_seed(ranks, None), common_seed(ranks, 7)))
    assert len(set(seeds)) == 1
    assert seeds[0][1] == 7
    assert common_seed(None, None) is None


def test_a_step_that_takes_too_long_ends_the_rank(monkeypatch):
    ended = []
    monkeypatch.setenv(TIMEOUT, "0.5")
    monkeypatch.setattr(Watch, "_end", lambda watch: ended.append(watch))
    idle, quick, slow = (Watch(name, 0.0) for name in ("idle", "quick", "slow"))
    with idle, quick:
        pass  # a stream that waits for audio
    with quick, slow:
        for _ in range(12):
            quick.beat(token=True)
            time.sleep(0.1)
    assert slow in ended
    assert not {idle, quick} & set(ended)


def test_a_lost_connection_is_told_in_our_words():
    said = r"^\[ranks\] rank 1 of 2: expected the other ranks, got a lost connection: one of them has ended\.$"
    with pytest.raises(ValueError, match=said), Watch("rank 1 of 2", 1.0):
        raise RuntimeError("[ring] connection to a peer was lost")
    with pytest.raises(RuntimeError, match="another"), Watch("rank 1 of 2", 1.0):
        raise RuntimeError("another")


def test_a_stall_is_forgotten(monkeypatch):
    """A machine that stood still once is given more time for some steps, not for ever."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    watch, limits = Watch("rank 0", 1.0), []
    watch._inside = 1
    for step in range(60):
        now[0] += 100.0 if step == 10 else 0.1
        watch.beat(token=True)
        limits.append(watch._limit)
    assert limits[9] == LATER_S
    assert limits[10] == limits[20] == pytest.approx(300.0)
    assert limits[-1] == LATER_S


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf", "nan"])
def test_a_time_limit_that_is_none(monkeypatch, text):
    monkeypatch.setenv(TIMEOUT, text)
    with pytest.raises(ValueError, match=rf"^\[ranks\] {TIMEOUT}: expected seconds above 0, got {text}\.$"):
        Watch("rank 0", 1.0)


def test_packed_positions(offline, tmp_path):
    """Held whole in the file's form, of which a rank keeps its columns."""
    packed = tmp_path / "packed"
    shutil.copytree(offline, packed)
    tensors = dict(mx.load(str(packed / "model.safetensors")))
    (stem,) = (name.removesuffix(".weight") for name in tensors if "embed_positions" in name)
    parts = mx.quantize(tensors[f"{stem}.weight"], group_size=32, bits=8)
    tensors |= {f"{stem}.{part}": x for part, x in zip(("weight", "scales", "biases"), parts, strict=True)}
    mx.save_safetensors(str(packed / "model.safetensors"), tensors)
    config = json.loads((packed / "config.json").read_text()) | {"quantization": {"group_size": 32, "bits": 8}}
    (packed / "config.json").write_text(json.dumps(config))
    mel = mx.array(np.random.default_rng(0).normal(0, 1, (1, 3000, 128)).astype(np.float32))

    def audio(ranks=None):
        model = Voxtral.load(packed, mx.float32, ranks=ranks)
        return model.encoder.stem.positions.shape[1], np.array(model.embed_audio(mel))

    width, expected = audio()
    for held, found in on_ranks(2, audio):
        assert 2 * held == width
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
