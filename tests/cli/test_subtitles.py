"""Cues of languages with and without spaces, and of texts whose words have no times."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_kernels.transcripts.formats import Format, Transcript, render
from voxtral_kernels.transcripts.subtitles import MAX_CHARACTERS, MAX_SECONDS, join


def texts(text, *words, seconds=0.4):
    """Cues of words that last ``seconds`` each, as the transcript ``text`` spells them."""
    timed = [(w, i * seconds, (i + 1) * seconds) for i, w in enumerate(words)]
    return [cue.text for cue in Transcript("x", text=text, words=timed).cues]


@pytest.mark.fault(
    "subtitles: languages without spaces got spaces between words",
    "subtitles: 。！？ did not end a cue",
    "subtitles: it's became it 's",
)
@pytest.mark.parametrize(
    ("text", "words", "cues"),
    [
        ("你好世界。再见！", ["你好", "世界", "。", "再见", "！"], ["你好世界。", "再见！"]),
        (
            "今日は。元気ですか？はい",
            ["今日", "は", "。", "元気", "ですか", "？", "はい"],
            ["今日は。", "元気ですか？", "はい"],
        ),
        ("「はい。」と言った", ["「", "はい", "。", "」", "と", "言った"], ["「はい。」", "と言った"]),
        ("สวัสดีครับ", ["สวัสดี", "ครับ"], ["สวัสดีครับ"]),
        ("it's well-known, isn't it?", ["it", "'s", "well", "-", "known", ",", "isn't", "it", "?"], None),
        ("l'été d'or", ["l'", "été", "d'", "or"], None),
        ("用 Python 写", ["用", "Python", "写"], None),
        ("안녕하세요 세계", ["안녕하세요", "세계"], None),
        ("Ja. Nein", ["Ja", ".", "Nein"], ["Ja.", "Nein"]),
        ('"Go." "No!"', ['"Go."', '"No!"'], ['"Go."', '"No!"']),
        ("हाँ। ना", ["हाँ।", "ना"], ["हाँ।", "ना"]),
        ("3.5 l", ["3", ".", "5", "l"], None),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_words_keep_their_form(text, words, cues):
    assert texts(text, *words) == (cues or [text])


def test_words_that_the_text_does_not_hold_get_spaces():
    assert texts("something else", "ten", "of", "clubs") == ["ten of clubs"]


def test_long_text_without_spaces_is_cut_where_it_may_be():
    text = "世" * 84 + "、「界」" + "人" * 100
    found = texts(text, text, seconds=5)
    assert "".join(found) == text
    assert found[0] == "世" * 83
    assert found[1].startswith("世、「界」"), "no mark begins a cue, no bracket ends one"
    assert all(len(t) <= MAX_CHARACTERS for t in found)
    assert texts("a" * 200, "a" * 200, seconds=5) == ["a" * 84, "a" * 84, "a" * 32], "a word longer than a cue"


@pytest.mark.fault("subtitles: an offline model's srt was one cue of an hour")
def test_pieces_share_their_time_by_characters():
    pieces = [("It's a test. And on", 10.0, 19.0), ("世界你好", 30.0, 32.0), ("好", 32.0, 32.5), ("", 33.0, 34.0)]
    cues = Transcript("x", text="It's a test. And on世界你好好", pieces=pieces, duration_s=40.0).cues
    assert [(c.text, c.start_s, c.end_s) for c in cues] == [
        ("It's a test.", 10.0, 15.684),
        ("And on", 16.158, 19.0),
        ("世界你好好", 30.0, 32.5),
    ]


@given(
    st.lists(st.tuples(st.text("ab 世界。'.é\n", max_size=120), st.floats(0, 60), st.floats(0, 60)), max_size=5),
    st.sampled_from([Format.SRT, Format.VTT]),
)
def test_cues_of_pieces_hold_every_character_within_the_limits(pieces, form):
    pieces = [(text, i * 60 + min(a, b), i * 60 + max(a, b)) for i, (text, a, b) in enumerate(pieces)]
    transcript = Transcript("x", text=" ".join(p[0] for p in pieces), pieces=pieces, duration_s=400.0)
    cues = transcript.cues
    assert "".join("".join(c.text.split()) for c in cues) == "".join("".join(p[0].split()) for p in pieces)
    assert all(len(c.text) <= MAX_CHARACTERS for c in cues)
    assert all(0 < c.end_s - c.start_s <= MAX_SECONDS + 1e-9 for c in cues)
    assert all(a.end_s <= b.start_s for a, b in pairwise(cues))
    assert render(transcript, form).count(" --> ") == len(cues)


@pytest.mark.parametrize(
    ("before", "after", "whole"),
    [
        ("a.", "B", "a. B"),
        ("世。", "界", "世。界"),
        ("a ", "b", "a b"),
        ("", "b", "b"),
        ("a", "", "a"),
        ("世", "a", "世a"),
    ],
)
def test_pieces_are_joined_as_their_language_does(before, after, whole):
    assert join(before, after) == whole
