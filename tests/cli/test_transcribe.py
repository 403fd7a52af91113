"""``voxtral-kernels transcribe`` on the tiny checkpoint: right results, whole files, and what Ctrl-C leaves."""

import io
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

CARDS = "eight of spades four of clubs seven of hearts"


def test_text(run, cards):
    assert run("transcribe", cards, "--model", "tiny") == (0, CARDS + "\n", "")


def test_json(run, cards, examples):
    status, out, err = run("transcribe", cards, "--model", "tiny", "--format", "json")
    assert (status, err) == (0, "")
    result = json.loads(out)
    assert list(result) == [
        "source",
        "text",
        "segments",
        "words",
        "tokens",
        "duration_s",
        "complete",
        "model",
        "delay_ms",
    ]
    assert (result["source"], result["text"], result["complete"]) == (str(cards), CARDS, True)
    assert (result["model"], result["delay_ms"], result["duration_s"]) == ("tiny", 480, 3.502)
    reference = json.loads((examples / "references.json").read_text())[cards.name]["transformers"]["480"]
    assert result["tokens"] == reference["tokens"]
    assert [w["text"] for w in result["words"]] == CARDS.split()
    assert all(0 <= w["start_s"] <= w["end_s"] <= 3.502 for w in result["words"])


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles(run, cards, form):
    status, out, err = run("transcribe", cards, "--model", "tiny", "--format", form)
    assert (status, err) == (0, "")
    times = "00:00:00.320 --> 00:00:03.280\n"
    expected = "1\n" + times.replace(".", ",") if form == "srt" else "WEBVTT\n\n" + times
    assert out == expected + CARDS + "\n"


def test_delay(run, examples):
    file = examples / "human-card-2.wav"
    reference = json.loads((examples / "references.json").read_text())[file.name]["transformers"]["960"]
    status, out, _ = run("transcribe", file, "-m", "tiny", "--delay-ms", "960", "-f", "json")
    assert status == 0
    assert json.loads(out)["tokens"] == reference["tokens"]
    assert json.loads(out)["delay_ms"] == 960


def test_standard_input_is_the_same_as_the_file(run, stdin, cards):
    pcm, flac = soundfile.read(cards, dtype="int16")[0], io.BytesIO()
    soundfile.write(flac, pcm, 16_000, format="FLAC")
    for data, options in [
        (cards.read_bytes(), ()),
        (flac.getvalue(), ()),
        (pcm.tobytes(), ("--raw",)),
    ]:
        stdin(data)
        assert run("transcribe", "-", "--model", "tiny", *options) == (0, CARDS + "\n", "")


def test_raw_file(run, cards, tmp_path):
    (tmp_path / "a.pcm").write_bytes(soundfile.read(cards, dtype="int16")[0].tobytes())
    assert run("transcribe", tmp_path / "a.pcm", "--raw", "--model", "tiny") == (0, CARDS + "\n", "")


def test_raw_named_pipe(run, cards, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    pcm = soundfile.read(cards, dtype="int16")[0].tobytes()
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(pcm,))
    writer.start()
    assert run("transcribe", tmp_path / "pipe", "--raw", "--model", "tiny") == (0, CARDS + "\n", "")
    writer.join()


def test_8_khz_stereo(run, cards, tmp_path):
    samples = soxr.resample(soundfile.read(cards, dtype="float32")[0], 16_000, 8_000)
    soundfile.write(tmp_path / "a.wav", np.stack([samples, samples], axis=1), 8_000)
    status, out, err = run("transcribe", tmp_path / "a.wav", "--model", "tiny")
    assert (status, err) == (0, "")
    assert "of spades" in out  # what telephone bandwidth leaves


def test_several_files(run, examples):
    five, ten = examples / "human-card-4.wav", examples / "human-card-1.wav"
    status, out, _ = run("transcribe", five, ten, "--model", "tiny")
    assert (status, out) == (0, f"==> {five} <==\nfive five oh\n==> {ten} <==\nten of clubs\n")
    status, out, _ = run("transcribe", ten, five, "--model", "tiny", "--format", "json")
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["ten of clubs", "five five oh"]


def test_output_file_and_folder(run, examples, tmp_path):
    five, ten = examples / "human-card-4.wav", examples / "human-card-1.wav"
    out = tmp_path / "a.srt"
    out.write_text("old")
    out.chmod(0o640)
    assert run("transcribe", ten, "--model", "tiny", "-f", "srt", "-o", out) == (0, "", "")
    assert out.read_text().endswith("\nten of clubs\n")
    assert out.stat().st_mode & 0o777 == 0o640
    folder = tmp_path / "all"
    folder.mkdir()
    assert run("transcribe", five, ten, "--model", "tiny", "-o", folder) == (0, "", "")
    assert {p.name: p.read_text() for p in folder.iterdir()} == {
        "human-card-4.txt": "five five oh\n",
        "human-card-1.txt": "ten of clubs\n",
    }


def test_output_to_a_link_and_to_a_device(run, examples, tmp_path):
    ten = examples / "human-card-1.wav"
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    assert run("transcribe", ten, "--model", "tiny", "-o", tmp_path / "link.txt")[0] == 0
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "ten of clubs\n"
    assert run("transcribe", ten, "--model", "tiny", "-o", "/dev/null")[0] == 0
    assert Path("/dev/null").is_char_device()
