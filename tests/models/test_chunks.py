"""How much audio is taken at once: the same text for any `chunk_ms`, with ``exact`` the same bits for any cut."""

import itertools

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.cli import main
from voxtral_kernels.models.chunk import CHUNKS_MS

CLIP = "human-card-1.wav"
TOKEN = 1280


@pytest.fixture(scope="module")
def half():
    return vk.load("tiny", dtype=mx.bfloat16)


@pytest.fixture(scope="module")
def samples(examples):
    return load_audio(examples / CLIP)


def cut(samples, rng, longest):
    """Random pieces of up to `longest` samples."""
    at = np.cumsum(rng.integers(1, longest, 1 + 2 * len(samples) // longest))
    return np.split(samples, at[at < len(samples)])


def heard(model, pieces, **options):
    """Tokens of a stream, and the logits that they come from."""
    logits, head = [], type(model.decoder).logits
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(model.decoder), "logits", lambda d, h: logits.append(head(d, h)) or logits[-1])
        stream = model.stream(drafts=False, **options)
        for piece in pieces:
            stream.feed(piece)
        stream.finish()
    return stream.tokens, np.array(mx.concatenate(logits, axis=1).astype(mx.float32))


@pytest.mark.parametrize("chunk_ms", CHUNKS_MS)
def test_any_chunk_gives_the_same_tokens_later(tiny, samples, chunk_ms):
    expected = tiny.transcribe(samples).tokens
    stream, chunk = tiny.stream(chunk_ms=chunk_ms), chunk_ms // 80
    counts = [len(stream.feed(samples[i : i + TOKEN])) for i in range(0, len(samples) - TOKEN + 1, TOKEN)]
    some = [n for n in counts if n]
    assert some
    assert set(some[1:]) <= {chunk}
    stream.feed(samples[len(samples) // TOKEN * TOKEN :])
    stream.finish()
    assert stream.tokens == expected
    assert tiny.transcribe(samples, chunk_ms=chunk_ms).tokens == expected


@pytest.mark.parametrize("backend", [None, "composed"])
def test_exact_is_the_same_to_the_last_bit(half, samples, backend):
    """In bfloat16, where one rounding can decide a token: however it is cut, live or a file; natively for any chunk."""
    rng = np.random.default_rng(0)
    samples = samples[:6000] if backend else samples
    with vk.use_backend(backend):
        tokens, logits = heard(half, [samples], exact=True)
        same = [(80, 20000)] if backend else itertools.product(CHUNKS_MS, (300, 20000))
        for chunk_ms, longest in same:
            found = heard(half, cut(samples, rng, longest), exact=True, chunk_ms=chunk_ms)
            assert found[0] == tokens
            first = len(logits[0]) - len(tokens)
            assert np.array_equal(found[1][0][-len(tokens) :], logits[0][first:])
        assert half.transcribe(samples, exact=True).tokens == tokens


def test_exact_takes_the_same_pieces(tiny, samples, monkeypatch):
    taken = []
    embed = type(tiny).embed_audio
    monkeypatch.setattr(
        type(tiny), "embed_audio", lambda m, mel, s: taken.append(mel.shape[1] // 8) or embed(m, mel, s)
    )
    found = set()
    for longest in (300, 5000, 60000):
        taken.clear()
        stream = tiny.stream(exact=True, chunk_ms=160)
        for piece in cut(samples, np.random.default_rng(longest), longest):
            stream.feed(piece)
        stream.finish()
        found.add(tuple(taken))
    (pieces,) = found
    assert set(pieces[:10]) == {3}
    assert set(pieces[10:-1]) == {2}


@pytest.mark.parametrize("bad", [0, 100, 320, -80, True, "80", None])
def test_a_chunk_that_is_none(tiny, bad):
    message = r"^\[stream\] chunk_ms: expected 80, 160 or 240 \(ms of audio taken at once\), got "
    with pytest.raises(ValueError, match=message):
        tiny.stream(chunk_ms=bad)
    with pytest.raises(ValueError, match=message):
        vk.AsyncStream(tiny, chunk_ms=bad)


def test_the_command_line(capsys, examples):
    file, said = str(examples / CLIP), {}
    for chunk_ms in ("80", "240", "100"):
        code = main(["transcribe", file, "--model", "tiny", "--chunk-ms", chunk_ms])
        said[chunk_ms] = code, *capsys.readouterr()
    assert said["80"][:2] == said["240"][:2] == (0, said["80"][1])
    assert said["100"][0] == 2
    assert "--chunk-ms: expected 80, 160 or 240 (ms of audio taken at once), got 100." in said["100"][2]


@pytest.mark.soak
@pytest.mark.parametrize("minutes", [10, 120])
def test_random_chunks_of_a_long_stream(half, examples, minutes):
    """bfloat16, random chunks of up to 2 s: 0 tokens differ from the file's with ``exact``."""
    samples = load_audio(examples / "one-minute.wav")
    rng = np.random.default_rng(minutes)
    level = np.repeat(rng.uniform(0.3, 1.0, minutes), len(samples)).astype(np.float32)
    audio = np.tile(samples, minutes) * level
    expected = half.transcribe(audio, exact=True).tokens
    stream = half.stream(exact=True)
    for piece in cut(audio, rng, 32000):
        stream.feed(piece)
    stream.finish()
    plain = half.transcribe(audio).tokens
    differ, without = (sum(a != b for a, b in zip(expected, t, strict=True)) for t in (stream.tokens, plain))
    print(f"{minutes} min: {differ} of {len(expected)} tokens differ; from a file without exact {without}")
    assert differ == 0
