"""`transcribe_many`: every recording as by itself, whatever becomes of the others."""

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.models.voxtral_realtime.many import length, longest_first

NAMES = ("human-card-1.wav", "human-card-2.wav")


def test_every_recording_is_as_by_itself(examples, tmp_path):
    """In bfloat16, where one rounding can decide a token."""
    model = vk.load("tiny", dtype=mx.bfloat16)
    broken, samples = tmp_path / "broken.wav", load_audio(examples / NAMES[0])[:5000]
    broken.write_bytes(b"RIFF, and nothing behind it")
    sources = [broken, *(examples / name for name in NAMES), tmp_path / "none.wav", samples]
    heard: dict[int, str] = {}

    def on_events(index, events):
        heard[index] = heard.get(index, "") + "".join(event.text for event in events)

    results = model.transcribe_many(sources, slots=2, on_events=on_events)
    for i in (0, 3):
        assert isinstance(results[i], ValueError)
        assert sources[i].name in str(results[i])
    for i in (1, 2, 4):
        assert results[i] == model.transcribe(sources[i], drafts=False)
        assert heard[i] == results[i].text
    assert set(heard) == {1, 2, 4}


def test_the_longest_begin(examples, tmp_path):
    short, long = examples / NAMES[0], examples / "one-minute.wav"
    sources = [short, tmp_path / "none", long, np.zeros(16000), iter([])]
    assert longest_first([length(source) for source in sources]) == [1, 4, 2, 0, 3]


def test_wrong_options_are_refused_before_any_work(tiny):
    for options in ({"delay_ms": 100}, {"chunk_ms": 1}, {"cache_bits": 9}, {"slots": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            tiny.transcribe_many([], **options)
    assert tiny.transcribe_many([]) == []
