"""What ``voxtral-kernels transcribe`` refuses: one line each, status 2."""

import io
import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxtral_kernels
from voxtral_kernels.cli import main

TINY = Path(voxtral_kernels.__file__).parent / "data" / "tiny"


def wav(samples, rate=16_000, subtype="PCM_16", form="WAV"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "which is empty"),
        (wav(np.zeros(0)), "expected at least one sample"),
        (b"five of hearts\n", "expected an audio file (WAV, FLAC, OGG, MP3, M4A, MP4, WebM, ...)"),
        (wav([0, np.nan, 0], subtype="FLOAT"), "expected finite samples, got nan at sample 1"),
    ],
    ids=["empty", "no-samples", "text", "nan"],
)
def test_bad_audio(fails, stdin, tmp_path, data, message):
    path = tmp_path / "bad.wav"
    path.write_bytes(data)
    error = fails("transcribe", path, "--model", "tiny")
    assert message in error
    assert "bad.wav" in error
    stdin(data)
    assert message in fails("transcribe", "-", "--model", "tiny")
    assert message in fails("transcribe", path), "told before the default model is fetched"


@pytest.mark.filterwarnings("ignore::voxtral_kernels.audio.AudioWarning")
def test_a_damaged_mp3(cards, tmp_path, capfd):
    """What can be read of it is transcribed."""
    samples = soundfile.read(cards, dtype="float32")[0]
    data = bytearray(wav(samples, form="MP3", subtype="MPEG_LAYER_III"))
    data[1000:3000] = bytes(2000)
    (tmp_path / "a.mp3").write_bytes(data)
    assert main(["transcribe", str(tmp_path / "a.mp3"), "--model", "tiny"]) == 0
    assert capfd.readouterr().out.endswith("seven of hearts\n")


def test_bad_raw_audio(fails, stdin):
    stdin(b"")
    assert "expected at least one sample, got none" in fails("transcribe", "-", "--raw", "--model", "tiny")


def test_terminal_as_standard_input(fails, stdin):
    stdin(b"", terminal=True)
    assert "expected audio on standard input, got a terminal" in fails("transcribe", "-", "--model", "tiny")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--delay-ms", "100"], "delay_ms: expected a multiple of 80 from 80 to 2400, got 100."),
        (["--delay-ms", "2480"], "delay_ms: expected a multiple of 80 from 80 to 2400, got 2480."),
        (["--delay-ms", "x"], "Invalid value for '--delay-ms'"),
        (["--format", "foo"], "'foo' is not one of 'text', 'json', 'srt', 'vtt'"),
        (["--nonsense"], "No such option"),
        (["--model", "/none/there"], "expected"),
        (["none.wav"], "FILE: expected a file that exists, got 'none.wav'."),
        (["-", "-"], "FILE: expected - once, got 2 times."),
        (["-o", "/none/there/a.txt"], "--output: expected a file in an existing folder"),
        (["none.wav", "-o", "a.txt"], "--output: expected an existing folder, got 'a.txt'."),
        (["none.wav", "--format", "srt"], "--output: expected a folder, one srt file for each recording, got none."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(fails, cards, arguments, message):
    model = [] if "--model" in arguments else ["--model", "tiny"]
    assert message in fails("transcribe", cards, *model, *arguments)


def test_outputs_that_would_overwrite(fails, cards, tmp_path):
    copy = tmp_path / "a.wav"
    shutil.copy(cards, copy)
    assert "expected another file than the recording" in fails("transcribe", copy, "-m", "tiny", "-o", copy)
    assert copy.read_bytes() == cards.read_bytes()
    assert "recordings of different names" in fails("transcribe", cards, copy, copy, "-m", "tiny", "-o", tmp_path)


@pytest.fixture
def model_copy(tmp_path):
    return Path(shutil.copytree(TINY, tmp_path / "model"))


def test_truncated_weights(fails, cards, model_copy):
    weights = model_copy / "consolidated.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "consolidated.safetensors" in fails("transcribe", cards, "--model", model_copy)
    weights.write_bytes(b"")
    assert "consolidated.safetensors" in fails("transcribe", cards, "--model", model_copy)


def test_tensor_of_the_wrong_shape(fails, cards, model_copy):
    weights = model_copy / "consolidated.safetensors"
    data = weights.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    header["norm.weight"]["shape"] = [1, *header["norm.weight"]["shape"]]
    text = json.dumps(header).encode()
    weights.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
    assert "norm.weight" in fails("transcribe", cards, "--model", model_copy)


def test_missing_model_files(fails, cards, model_copy, tmp_path):
    (model_copy / "tekken.json").unlink()
    assert "tekken.json" in fails("transcribe", cards, "--model", model_copy)
    (model_copy / "params.json").unlink()
    assert "params.json" in fails("transcribe", cards, "--model", model_copy)
    assert "expected" in fails("transcribe", cards, "--model", tmp_path / "none")
