"""The recordings of ``files/``: what phones, browsers and dying recorders write, each with its text."""

import io
from pathlib import Path

import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels.audio.load import blocks, load_raw

FILES = Path(__file__).parent / "files"
CARDS = "eight of spades four of clubs seven of hearts"
TEXTS = {
    "alac.m4a": CARDS,
    "antiphase.wav": "ten of clubs",
    "flac.oga": CARDS,
    "gsm.wav": CARDS,
    "odd.s16le": "ten of clubs",
    "size_zero.wav": CARDS,
    "truncated.flac": "eight of spades four",
    "truncated.wav": "eight of spades four of clubs",
    "video.mov": CARDS,
    "video.mp4": CARDS,
    "voice.aac": CARDS,
    "voice.m4a": CARDS,
    "voice.webm": CARDS,
}
# What is said of each that is not as it should be, once.
WARNINGS = {
    "antiphase.wav": r"has channels that cancel, from 0\.00 s on: the louder one, channel \d of 2, is taken",
    "odd.s16le": "ends with half a sample",
    "truncated.flac": r"ends at 1\.51 s of 3\.50 s",
    "truncated.wav": r"ends at 1\.87 s of 3\.50 s",
}
CUT = {"truncated.flac", "truncated.wav"}


@pytest.fixture(scope="module")
def model():
    return vk.load("tiny")


@pytest.mark.fault("audio: what phones, browsers and screen recorders write was refused")
@pytest.mark.fault("audio: a header whose recorder died, sizes 0, gave nothing")
@pytest.mark.fault("audio: a file that was cut off gave no word of it")
@pytest.mark.fault("audio: channels that cancel gave silence")
@pytest.mark.parametrize("name", sorted(TEXTS))
@pytest.mark.filterwarnings("ignore::voxtral_kernels.AudioWarning")
def test_each_gives_its_text(model, name):
    audio = load_raw((FILES / name).read_bytes()) if name.endswith(".s16le") else FILES / name
    result = model.transcribe(audio)
    assert result.text == TEXTS[name]
    assert result.complete is (name not in CUT)


def test_every_file_has_its_text():
    assert {path.name for path in FILES.iterdir()} == set(TEXTS)


@pytest.mark.parametrize("name", sorted(set(TEXTS) - {"odd.s16le"}))
def test_one_warning_where_something_is_wrong(name):
    with blocks(FILES / name) as audio:
        total = sum(map(len, audio))
    assert len(audio.warnings) == (name in WARNINGS)
    if name in WARNINGS:
        with pytest.warns(vk.AudioWarning, match=WARNINGS[name]) as told:
            samples = vk.load_audio(FILES / name)
        assert len(told) == 1
        assert len(samples) == total


def test_raw_with_a_byte_too_many():
    with pytest.warns(vk.AudioWarning, match=WARNINGS["odd.s16le"]):
        samples = load_raw((FILES / "odd.s16le").read_bytes())
    assert len(samples) == ((FILES / "odd.s16le").stat().st_size - 1) // 2


class Unseekable(io.RawIOBase):
    """A pipe that holds all of a file already."""

    def __init__(self, data):
        self.data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self.data.readinto(buffer)


@pytest.mark.parametrize("name", sorted(set(TEXTS) - {"odd.s16le"}))
@pytest.mark.filterwarnings("ignore::voxtral_kernels.AudioWarning")
def test_the_same_through_a_pipe_and_from_memory(name):
    data = (FILES / name).read_bytes()
    expected = vk.load_audio(FILES / name)
    with blocks(io.BufferedReader(Unseekable(data))) as piped:
        np.testing.assert_array_equal(np.concatenate(list(piped)), expected)
    np.testing.assert_array_equal(vk.load_audio(data), expected)
    assert piped.complete is (name not in CUT)
