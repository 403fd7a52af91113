"""Loading audio: what a file may be, and what is said of one that is not."""

import io
import struct

import mlx.core as mx
import numpy as np
import pytest
import soundfile

from voxtral_kernels.audio import AudioWarning
from voxtral_kernels.audio.load import load_audio, load_raw, raw_blocks


def tone(seconds=0.5, rate=16_000, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def encoded(samples, rate, **options):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **{"format": "WAV", "subtype": "PCM_16", **options})
    return file.getvalue()


def test_16_khz_mono_is_the_file_as_it_is(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(tone(), 16_000))
    expected = soundfile.read(path, dtype="float32")[0]
    sources = (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), expected, mx.array(expected))
    for source in sources:
        samples = load_audio(source)
        assert samples.dtype == np.float32
        np.testing.assert_array_equal(samples, expected)
    with path.open("rb") as file:
        np.testing.assert_array_equal(load_audio(file), expected)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG"])
def test_containers_keep_the_sound(container):
    subtype = "VORBIS" if container == "OGG" else "PCM_16"
    samples = load_audio(encoded(tone(), 16_000, format=container, subtype=subtype))
    # A Vorbis file ends with what its last block holds beyond the end.
    assert 8_000 <= len(samples) <= (8_192 if container == "OGG" else 8_000)
    assert np.abs(samples[:8_000] - tone()).max() < (0.05 if container == "OGG" else 1e-4)


@pytest.mark.filterwarnings("ignore::voxtral_kernels.audio.AudioWarning")
def test_damaged_files_are_one_error_or_sound(capfd):
    """Bytes changed or cut off at random: samples, or our error; nothing printed (libmpg123's remarks on MP3 aside)."""
    random = np.random.default_rng(5)
    whole = [
        encoded(tone(), 16_000, format=f, subtype=s) for f, s in [("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("AIFF", None)]
    ]
    outcomes = set()
    for _ in range(300):
        data = bytearray(whole[random.integers(len(whole))])
        data = data[: random.integers(len(data))] if random.random() < 0.2 else data
        for _ in range(random.integers(1, 4)):
            data[random.integers(min(len(data), 60))] = random.integers(256)
        try:
            outcomes.add(str(np.isfinite(load_audio(bytes(data))).all()))
        except ValueError as error:
            outcomes.add(str(error)[:29])
    assert outcomes == {"True", "[load_audio] audio: expected "}
    assert capfd.readouterr() == ("", "")


def test_8_khz_stereo_is_averaged_and_resampled():
    left, right = tone(1.0, 8_000), tone(1.0, 8_000, hertz=1000.0)
    samples = load_audio(encoded(np.stack([left, right], axis=1), 8_000))
    assert samples.shape == (16_000,)
    expected = (tone(1.0) + tone(1.0, hertz=1000.0)) / 2
    middle = slice(1_000, -1_000)  # a resampler rings at the ends
    assert np.abs(samples[middle] - expected[middle]).max() < 2e-3


def test_int16_samples_are_scaled():
    np.testing.assert_array_equal(load_audio(np.array([-32768, 0, 16384], np.int16)), [-1.0, 0.0, 0.5])


def wav_claiming_rate(rate):
    data = bytearray(encoded(tone(0.1), 16_000))
    data[24:28] = struct.pack("<I", rate)
    return bytes(data)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", r"expected an audio file .*, got 0 bytes, which is empty\."),
        (encoded(np.zeros(0), 16_000), r"expected at least one sample, got \d+ bytes, which holds none\."),
        (b"This is a text.\n" * 100, r"expected an audio file .*, got 1600 bytes, whose format is not recognised\."),
        (
            encoded(np.array([0, np.nan]), 16_000, subtype="FLOAT"),
            r"expected finite samples, .* nan at sample 1 of 88 bytes\.",
        ),
        (
            encoded(np.array([[np.inf, 0]]), 16_000, subtype="FLOAT"),
            r"expected finite samples, .* inf at sample 0 of 96 bytes\.",
        ),
        (wav_claiming_rate(1), r"expected a sample rate from 1000 to 768000 Hz, got 1 Hz of 3244 bytes\."),
        (np.array([0.0, np.nan]), r"expected finite samples, got nan at sample 1\."),
        (np.array([0.0, 1e300]), r"expected finite samples, got inf at sample 1\."),
        (np.zeros((2, 10)), r"expected samples \[T\] \(1 axis, mono\), got shape \(2, 10\)\."),
        (np.zeros(10, np.int32), r"expected float samples in \[-1, 1\] or int16, got int32\."),
        (np.zeros(0, np.float32), r"expected at least one sample, got none\."),
        (["a"], r"expected float samples in \[-1, 1\] or int16, got <U1\."),
        ([[1.0], [1.0, 2.0]], r"expected samples \[T\] of numbers, got list\."),
        (None, r"expected samples \[T\] of numbers, got NoneType\."),
        (io.StringIO("text"), r"expected a file object opened in binary mode, got one that reads str\."),
    ],
    # Not by content: an encoded file holds the time of day.
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_bad_input_is_one_line_that_names_it(source, message):
    with pytest.raises(ValueError, match=rf"^\[load_audio\] speech: {message}$"):
        load_audio(source, argument="speech")


def test_bad_paths(tmp_path):
    with pytest.raises(ValueError, match=r"expected a file that exists, got '.*none\.wav'\."):
        load_audio(tmp_path / "none.wav")
    with pytest.raises(ValueError, match=r"expected an audio file, got the folder '.*'\."):
        load_audio(tmp_path)
    with pytest.raises(ValueError, match=r"expected an audio file, got the device '/dev/zero'\."):
        load_audio("/dev/zero")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match=r"expected a readable file, got '.*' \(Not a directory\)\."):
        load_audio(tmp_path / "file" / "x.wav")


class Pipe(io.RawIOBase):
    """Gives what a slow writer has written so far: a few bytes, odd numbers among them."""

    def __init__(self, data, sizes):
        self.data, self.sizes = data, iter(sizes)

    def readable(self):
        return True

    def readinto(self, buffer):
        size = min(next(self.sizes, 1000), len(buffer), len(self.data))
        buffer[:size], self.data = self.data[:size], self.data[size:]
        return size


def test_raw_audio_comes_in_blocks_as_it_arrives():
    pcm = np.arange(-500, 500, dtype="<i2")
    blocks = list(raw_blocks(io.BufferedReader(Pipe(pcm.tobytes(), [1, 2, 3, 401, 7])), seconds=300 / 16_000))
    assert len(blocks) > 4
    assert max(map(len, blocks)) <= 300
    np.testing.assert_array_equal(np.concatenate(blocks), pcm / np.float32(32768))
    np.testing.assert_array_equal(load_raw(pcm.tobytes()), pcm / np.float32(32768))


def test_raw_audio_with_half_a_sample_at_the_end():
    with pytest.warns(AudioWarning, match="ends with half a sample"):
        np.testing.assert_array_equal(load_raw(b"\0\0\0"), [0.0])
    with pytest.raises(ValueError, match=r"expected at least one sample, got none\."):
        load_raw(b"")
