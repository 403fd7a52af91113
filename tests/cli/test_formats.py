"""Subtitles and JSON are well-formed for any words a model may give."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_kernels.transcripts.formats import Format, Transcript, render

CLOCK = r"(\d\d+):([0-5]\d):([0-5]\d)[,.](\d{3})"


def seconds(match, first):
    h, m, s, ms = (int(match[i]) for i in range(first, first + 4))
    return 3600 * h + 60 * m + s + ms / 1000


def parse(text, form):
    """Cues of a file as (start, end, text); fails on anything that the format does not allow."""
    blocks = text.split("\n\n") if text else []
    if form is Format.VTT:
        assert blocks[0].strip() == "WEBVTT"
        blocks = blocks[1:]
    found = []
    for i, block in enumerate(blocks, start=1):
        lines = block.rstrip("\n").split("\n")
        if form is Format.SRT:
            assert lines.pop(0) == str(i)
        point = "," if form is Format.SRT else r"\."
        times = re.fullmatch(CLOCK.replace("[,.]", point) + " --> " + CLOCK.replace("[,.]", point), lines[0])
        assert times, lines[0]
        assert len(lines) == 2
        assert lines[1].strip()
        assert "-->" not in lines[1]
        found.append((seconds(times, 1), seconds(times, 5), lines[1]))
    return found


WORDS = st.lists(
    st.tuples(st.text(st.sampled_from("ab.? \n<>&-é€"), max_size=6), st.floats(0, 4000), st.floats(0, 4000)),
    max_size=40,
)


@given(WORDS)
def test_cues_are_in_order_and_hold_every_word(words):
    words = [(t, *times) for (t, *_), times in zip(words, [sorted(w[1:]) for w in words], strict=True)]
    transcript = Transcript("x", words=words)
    for form in (Format.SRT, Format.VTT):
        found = parse(render(transcript, form), form)
        assert all(start < end for start, end, _ in found)
        assert all(a[1] <= b[0] for a, b in pairwise(found))
    said = [cue.text for cue in transcript.cues]
    assert "".join(said).replace(" ", "") == "".join("".join(t.split()) for t, _, _ in words)
    assert all(len(text) <= 84 for text in said)


def test_a_cue_ends_at_a_sentence_a_pause_a_length():
    def texts(*words):
        return [cue.text for cue in Transcript("x", words=words).cues]

    assert texts(("Go.", 0, 0.4), ("Stop", 0.4, 0.8)) == ["Go.", "Stop"]
    assert texts(("go", 0, 0.4), ("stop", 1.5, 1.8)) == ["go", "stop"]
    assert texts(("go", 0, 0.4), ("stop", 0.5, 0.8)) == ["go stop"]
    assert texts(("go", 0, 3.0), ("stop", 3.0, 6.1)) == ["go", "stop"]
    assert texts(*(("abcdefghi", i / 10, i / 10 + 0.1) for i in range(9))) == [" ".join(["abcdefghi"] * 8), "abcdefghi"]


def test_known_files():
    words = [("five", 0.32, 0.48), ("-->", 3661.9996, 3662.5)]
    transcript = Transcript("x", text=" five -->", words=words, duration_s=3663)
    assert render(transcript, Format.TEXT) == "five -->\n"
    assert render(transcript, Format.SRT) == (
        "1\n00:00:00,320 --> 00:00:00,480\nfive\n\n2\n01:01:02,000 --> 01:01:02,500\n->\n"
    )
    assert render(transcript, Format.VTT) == (
        "WEBVTT\n\n00:00:00.320 --> 00:00:00.480\nfive\n\n01:01:02.000 --> 01:01:02.500\n--&gt;\n"
    )


def test_silence():
    assert render(Transcript("x"), Format.TEXT) == "\n"
    assert render(Transcript("x"), Format.SRT) == ""
    assert render(Transcript("x"), Format.VTT) == "WEBVTT\n"


def test_text_without_word_times_is_one_cue():
    assert list(parse(render(Transcript("x", text="go\nnow", duration_s=2), Format.SRT), Format.SRT)) == [
        (0, 2, "go now")
    ]


@pytest.mark.parametrize("one_line", [True, False])
def test_json(one_line):
    transcript = Transcript(
        "a.wav",
        "été ",
        [(" été", 0.08, 0.1600001)],
        [32, 33, 1200],
        1.25,
        settings={"model": "tiny", "delay_ms": 480.0},
    )
    text = render(transcript, Format.JSON, one_line=one_line)
    assert (text.count("\n") == 1) is one_line
    assert "été" in text
    assert json.loads(text) == {
        "source": "a.wav",
        "text": "été",
        "segments": [{"text": "été", "start_s": 0.08, "end_s": 0.16}],
        "words": [{"text": "été", "start_s": 0.08, "end_s": 0.16}],
        "tokens": [32, 33, 1200],
        "duration_s": 1.25,
        "complete": True,
        "model": "tiny",
        "delay_ms": 480.0,
    }
