"""``transcribe`` and ``ask`` with an offline model: small, random, of the real one's geometry."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxtral_kernels as vk

ROOT = Path(__file__).parents[2]
STATS = r"voxtral-kernels: {}: (\S+) s in (\d+) chunks, (\d+) audio tokens; (\d+) tokens, (.*); peak memory \d+ MB\n"


@pytest.fixture(scope="session")
def long(tmp_path_factory):
    file = tmp_path_factory.mktemp("audio") / "long.wav"
    runpy.run_path(str(ROOT / "examples" / "random_offline_model.py"))["write_audio"](file, 95)
    return file


@pytest.fixture
def short(examples):
    return examples / "human-card-1.wav"


def test_95_seconds(run, offline, long):
    status, out, err = run("transcribe", long, "--model", offline, "--max-tokens", "6")
    assert status == 0
    found = re.fullmatch(STATS.format(re.escape(str(long))), err)
    assert found.groups() == ("95.0", "4", "1500", "6", "cut off by --max-tokens 6")
    assert out.count("\n") == 1


@pytest.mark.fault("subtitles: JSON of an offline model had no segments")
def test_pieces_have_their_times(run, offline, short, monkeypatch):
    """JSON and subtitles; and text of a recording that is longer than one prompt should hold."""
    status, out, err = run("transcribe", short, "-m", offline, "--max-tokens", 9, "-f", "json")
    got = json.loads(out)
    assert (status, got["words"]) == (0, [])
    assert " ".join(s["text"] for s in got["segments"]) == got["text"]
    assert all(0 <= s["start_s"] < s["end_s"] <= got["duration_s"] + 0.04 for s in got["segments"])
    assert " in 1 piece, " in err
    srt = run("transcribe", short, "-m", offline, "--max-tokens", 9, "-f", "srt")[1]
    assert srt.count(" --> ") == len(got["segments"])
    assert run("transcribe", short, "-m", offline, "--max-tokens", 9)[1] == got["text"] + "\n"
    monkeypatch.setattr("voxtral_kernels.cli.offline.WHOLE_S", 0.5)
    status, out, err = run("transcribe", short, "-m", offline, "--max-tokens", 9)
    assert (status, out) == (0, got["text"] + "\n")
    assert " in 1 piece, " in err


def test_the_python_call_gives_the_same(run, offline, short, monkeypatch):
    from voxtral_kernels.models.voxtral import prompt

    languages = []
    build = prompt.transcription
    monkeypatch.setattr(prompt, "transcription", lambda *a: languages.append(a[2]) or build(*a))
    status, out, _ = run("transcribe", short, "-m", offline, "--language", "en", "--max-tokens", 7, "-f", "json")
    assert status == 0
    got = json.loads(out)
    expected = vk.load(offline).transcribe(short, language="en", max_tokens=7)
    assert (got["tokens"], got["text"]) == (expected.tokens, expected.text.strip())
    assert (got["language"], got["stop"], got["words"], got["complete"]) == ("en", "max_tokens", [], True)
    assert languages == ["en", "en"]


def test_ask(run, offline, short):
    question = "What is said?"
    status, out, err = run("ask", short, question, "--model", offline, "--max-tokens", 5, "--format", "json")
    assert status == 0
    assert re.fullmatch(STATS.format(re.escape(str(short))), err)
    got = json.loads(out)
    assert got["tokens"] == vk.load(offline).ask(short, question, max_tokens=5).tokens
    assert (got["question"], got["stop"]) == (question, "max_tokens")


def test_caches_of_8_bits(run, offline, short, monkeypatch):
    from voxtral_kernels.models.voxtral import model as module

    bits, generate = [], module.generate
    monkeypatch.setattr(module, "generate", lambda *a, **o: bits.append(o["cache_bits"]) or generate(*a, **o))
    common = ("-m", offline, "--max-tokens", 3, "--cache-bits", 8)
    assert run("transcribe", short, *common)[0] == run("transcribe", short, *common, "-f", "srt")[0] == 0
    assert run("ask", short, "What?", *common)[0] == 0
    assert bits == [8, 8, 8]


def test_ask_at_random(run, offline, short):
    def tokens(*options):
        call = ("ask", short, "What?", "-m", offline, "--max-tokens", 8, "-f", "json", *options)
        return json.loads(run(*call)[1])["tokens"]

    hot = tokens("--temperature", 5, "--seed", 1)
    assert hot == tokens("--temperature", 5, "--seed", 1)
    assert hot != tokens("--temperature", 5, "--seed", 2)
    assert tokens("--temperature", 5, "--seed", 1, "--top-p", 1e-6) == tokens()


def test_the_end_of_sequence_is_told(run, offline, short, monkeypatch):
    from voxtral_kernels.tokenizer import Tokenizer

    first = vk.load(offline).transcribe(short, max_tokens=1).tokens[0]
    monkeypatch.setattr(Tokenizer, "eos_id", first)
    status, _, err = run("transcribe", short, "-m", offline)
    assert status == 0
    assert "1 tokens, the model ended;" in err


def test_raw_standard_input(run, stdin, offline, short):
    stdin(soundfile.read(short, dtype="int16")[0].tobytes())
    status, out, err = run("transcribe", "-", "--raw", "-m", offline, "--max-tokens", 4, "-f", "json")
    assert status == 0
    assert json.loads(out)["tokens"] == vk.load(offline).transcribe(short, max_tokens=4).tokens
    assert err.startswith("voxtral-kernels: -: ")
    stdin(b"")
    assert "at least one sample" in run("transcribe", "-", "--raw", "-m", offline)[2]


def test_interrupted(run, offline, short, monkeypatch):
    from voxtral_kernels.models.voxtral import model as module

    def interrupted(*arguments, **options):
        yield from list(generate(*arguments, **options))[:3]
        raise KeyboardInterrupt

    generate = module.generate
    monkeypatch.setattr(module, "generate", interrupted)
    status, out, err = run("transcribe", short, "-m", offline, "--max-tokens", 9, "-f", "json")
    assert status == 130
    assert "incomplete, ended by SIGINT after" in err
    assert json.loads(out)["complete"] is False


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("transcribe", "--delay-ms", "480"), "[transcribe] --delay-ms: expected none for Voxtral (offline), got 480."),
        (("transcribe", "--language", "qq"), "[transcribe] language: expected an ISO 639-1 code such as"),
        (("transcribe", "--max-tokens", "0"), "[transcribe] max_tokens: expected an integer >= 1, got 0."),
        (("ask", " "), "[ask] question: expected a text, got ' '."),
        (("ask", "What?", "--format", "srt"), "Invalid value for '--format'"),
        (("ask", "What?", "--cache-bits", "4"), "[ask] --cache-bits: expected 16 (the dtype of the keys) or 8, got 4."),
        (("ask", "What?", "--top-p", "2"), "[ask] top_p: expected a number above 0 and at most 1, got 2.0."),
        (("ask", "What?", "--temperature", "-1"), "[ask] temperature: expected a finite number >= 0, got -1.0."),
    ],
    ids=str,
)
def test_refusals(fails, offline, short, arguments, error):
    command, *rest = arguments
    assert error in fails(command, short, *rest, "--model", offline)


def test_what_the_realtime_model_has_not(fails, short):
    for option, value in (("--language", "en"), ("--max-tokens", "5")):
        error = fails("transcribe", short, "--model", "tiny", option, value)
        assert f"[transcribe] {option}: expected none for Voxtral Realtime, got {value}." in error
    error = fails("ask", short, "What?", "--model", "tiny")
    assert "[ask] --model: expected a Voxtral (offline) model, got tiny, which is Voxtral Realtime." in error


def test_no_such_file(fails, offline, tmp_path):
    assert "[ask] FILE: expected a file that exists" in fails("ask", tmp_path / "no.wav", "What?", "-m", offline)


def test_the_microphone_needs_the_realtime_model(offline):
    from voxtral_kernels.cli.options import load_model, new_stream

    with pytest.raises(ValueError, match=r"^\[stream\] --model: expected a Voxtral Realtime model, got .*\(offline\)"):
        new_stream(load_model(str(offline)), None)


def test_the_example_is_a_command(offline, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["x", str(tmp_path / "m"), "--seconds", "2"])
    runpy.run_path(str(ROOT / "examples" / "random_offline_model.py"), run_name="__main__")
    assert len(soundfile.read(tmp_path / "m" / "long.wav")[0]) == 32_000
    ours, theirs = (np.fromfile(f / "model.safetensors", np.uint8) for f in (offline, tmp_path / "m"))
    assert np.array_equal(ours, theirs)
