"""The blank guard: a rut over speech is told with its span; silence, noise and music are not; nothing else changes."""

import json

import numpy as np
import pytest

import voxtral_kernels as vk
from bench.measure.scripted import scripted
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.cli import main
from voxtral_kernels.models.voxtral_realtime.guard import Guard

PAD, RATE = 32, 16000
RUT = (20.0, 40.0)


@pytest.fixture(scope="module")
def model():
    return vk.load("tiny")


@pytest.fixture(scope="module")
def minute(examples):
    return load_audio(examples / "one-minute.wav")


def planted(model, monkeypatch, raised=1e4):
    """Over 20 s of audio the logits of pads are raised."""
    caches, plain = [], type(model.decoder).logits
    first = len(model.tokenizer.realtime_prompt(480)) - 1
    begin, end = (first + round(s / 0.08) for s in RUT)

    def new_caches(*args, **kwargs):
        found = type(model.decoder).new_caches(model.decoder, *args, **kwargs)
        caches[:] = caches or found  # of the first stream alone
        return found

    def logits(hidden):
        out = plain(model.decoder, hidden)
        stop = caches[0].offset
        if hidden.shape[1] and begin < stop and stop - hidden.shape[1] < end:
            for i in range(hidden.shape[1]):
                if begin <= stop - hidden.shape[1] + i < end:
                    out[:, i, PAD] += raised
        return out

    monkeypatch.setattr(model.decoder, "new_caches", new_caches, raising=False)
    monkeypatch.setattr(model.decoder, "logits", logits, raising=False)


def inside(words, start, end):
    return [w.text for w in words if start < w.end_s < end]


def test_a_planted_rut_is_told_with_its_span_and_heard_again_when_asked(model, minute, monkeypatch):
    healthy = model.transcribe(minute)
    assert healthy.suspicious == []
    results = []
    for retry in (False, True):
        planted(model, monkeypatch)
        results.append(model.transcribe(minute, retry_blanks=retry))
    result, again = results
    assert result.suspicious == again.suspicious
    assert result.tokens == again.tokens
    ((start, end),) = result.suspicious
    assert abs(start - RUT[0]) < 2.5
    assert abs(end - RUT[1]) < 2.5
    assert inside(result.words, RUT[0] + 0.5, RUT[1]) == []
    assert inside(result.words, 0, RUT[0]) == inside(healthy.words, 0, RUT[0])
    assert inside(again.words, RUT[0] + 2, RUT[1] - 2) == inside(healthy.words, RUT[0] + 2, RUT[1] - 2)
    assert again.text == " ".join(w.text for w in again.words)


def test_the_command_says_so_once_and_in_json(examples, monkeypatch, capsys, tmp_path, model):
    monkeypatch.setattr("voxtral_kernels.models.load", lambda *a, **k: model)
    planted(model, monkeypatch)
    out = tmp_path / "a.json"
    assert main(["transcribe", str(examples / "one-minute.wav"), "--model", "tiny", "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert said.err.count("blank over what sounds like speech: 0:") == 1
    ((span),) = json.loads(out.read_text())["suspicious"]
    assert abs(span["start_s"] - RUT[0]) < 2.5


def notes(seconds, length, rest, fade, seed=0):
    """Tones of random pitches."""
    rng, x = np.random.default_rng(seed), np.zeros(seconds * RATE, np.float32)
    t = np.arange(round((length - rest) * RATE)) / RATE
    for start in range(0, len(x) - len(t), round(length * RATE)):
        pitch = 220 * 2 ** (rng.integers(0, 24) / 12)
        tone = sum(np.sin(2 * np.pi * pitch * h * t) / h for h in range(1, 6))
        x[start : start + len(t)] = 0.2 * tone * np.exp(-t / fade)
    return x


def sounds(seconds):
    rng, t = np.random.default_rng(1), np.arange(seconds * RATE) / RATE
    yield "silence", np.zeros(len(t), np.float32)
    yield "noise", rng.normal(size=len(t)).astype(np.float32) * 0.05
    yield "breathing noise", (rng.normal(size=len(t)) * 0.05 * (1 + 0.9 * np.sin(6 * np.pi * t))).astype(np.float32)
    yield "tone", (0.3 * np.sin(880 * np.pi * t)).astype(np.float32)
    for length, rest, fade in ((0.4, 0.0, 0.3), (0.4, 0.1, 0.3), (0.5, 0.2, 9.0), (0.25, 0.1, 0.1)):
        yield f"notes {length} {rest} {fade}", notes(seconds, length, rest, fade)


@pytest.mark.parametrize("seconds", [50, pytest.param(600, marks=pytest.mark.soak)])
def test_what_is_no_speech_is_not_told(minute, seconds):
    """Every token a pad, whatever the model would say: nothing is told of silence, noise and tones, and speech is."""
    for name, samples in [*sounds(seconds), ("speech", minute)]:
        guard = Guard(PAD, 0.08)
        for start in range(0, len(samples), 10 * RATE):
            guard.hear(samples[start : start + 10 * RATE])
            for frame in range(start // 1280, min(start + 10 * RATE, len(samples)) // 1280):
                guard.push(frame, PAD)
        assert bool(guard.suspicious) == (name == "speech"), name


@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name, _ in sounds(1)])
def test_ten_minutes_through_the_model(model, name):
    samples = dict(sounds(600))[name]
    result = model.transcribe(samples)
    assert result.suspicious == []
    with scripted(model.decoder, lambda n: PAD):
        assert model.transcribe(samples).suspicious == []
