"""The tiny checkpoint gives the reference's tokens on every recording."""

import json
from pathlib import Path

import pytest

from voxtral_kernels.audio.load import load_audio

NAMES = list(json.loads((Path(__file__).resolve().parents[2] / "examples" / "references.json").read_text()))
DELAYS = (480, 960)
FEED = 1280


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("name", NAMES)
def test_offline(tiny, examples, references, name, delay):
    result = tiny.transcribe(examples / name, delay_ms=delay)
    expected = references[name]["transformers"][str(delay)]
    assert result.tokens == expected["tokens"]
    assert result.text == expected["text"]
    assert " ".join(word.text for word in result.words) == expected["text"]


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("name", NAMES)
def test_streaming_in_feeds_of_80_ms(tiny, examples, references, name, delay):
    samples = load_audio(examples / name)
    stream = tiny.stream(delay_ms=delay)
    events = [e for i in range(0, len(samples), FEED) for e in stream.feed(samples[i : i + FEED])]
    before_the_end = len(events)
    events += stream.finish()
    expected = references[name]["transformers"][str(delay)]
    assert stream.tokens == [e.token for e in events] == expected["tokens"]
    assert stream.text == "".join(e.text for e in events) == expected["text"]
    # The token of a frame comes a delay and 2.5 ms (40 samples of the last mel window) after the frame, not at the end.
    assert before_the_end == max(0, (len(samples) - 40) // FEED - delay // 80)
