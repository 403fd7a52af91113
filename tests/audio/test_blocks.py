"""Recordings in blocks: the same samples however they are cut; channels, rates, pipes, reading errors."""

import io
import os
import threading
import time

import numpy as np
import pytest
import soundfile
import soxr

import voxtral_kernels as vk
from voxtral_kernels.audio.load import blocks
from voxtral_kernels.audio.mono import Mixer, Resampler, to_mono

RNG = np.random.default_rng(3)


def tone(seconds, rate=16_000, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def wav(samples, rate=16_000, subtype="FLOAT"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def read(data, **options):
    with blocks(data, **options) as audio:
        return audio, list(audio)


@pytest.mark.parametrize("seconds", [0.01, 0.1, 1.28, 100.0])
def test_blocks_are_the_whole_in_equal_parts(seconds):
    samples = (0.1 * RNG.standard_normal((50_000, 2))).astype(np.float32)
    data = wav(samples, 22_050)
    audio, parts = read(data, seconds=seconds)
    np.testing.assert_array_equal(np.concatenate(parts), vk.load_audio(data))
    size = round(seconds * 16_000)
    assert all(len(part) == size for part in parts[:-1])
    assert 0 < len(parts[-1]) <= size
    assert audio.heard_s == sum(map(len, parts)) / 16_000
    assert audio.duration_s == pytest.approx(50_000 / 22_050)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000, 96_000])
def test_a_file_at_another_rate_is_what_soxr_makes_of_the_whole(rate):
    samples = (0.1 * RNG.standard_normal(2 * rate)).astype(np.float32)
    expected = soxr.resample(samples, rate, 16_000, quality="HQ")
    np.testing.assert_array_equal(vk.load_audio(wav(samples, rate)), expected)
    np.testing.assert_array_equal(vk.load_audio(samples, sample_rate=rate), expected)
    resampler = Resampler(rate)
    parts = [resampler.push(samples[i : i + 777]) for i in range(0, len(samples), 777)]
    np.testing.assert_array_equal(np.concatenate([*parts, resampler.finish()]), expected)


@pytest.mark.fault("audio: samples of an array at another rate were taken for 16 kHz")
def test_sample_rate_resamples_arrays():
    samples = tone(1.0, 44_100)
    got = vk.load_audio((samples * 32767).astype(np.int16), sample_rate=np.int64(44_100))
    assert len(got) == 16_000
    assert np.abs(got - tone(1.0))[500:-500].max() < 1e-3
    model = vk.load("tiny")
    speech, rate = soundfile.read("examples/human-card-1.wav", dtype="float32")
    assert model.transcribe(soxr.resample(speech, rate, 48_000), sample_rate=48_000).text == "ten of clubs"


@pytest.mark.parametrize(
    ("rate", "got"), [(0, "0 Hz"), (999, "999 Hz"), (1e9, "1000000000.0 Hz"), (float("nan"), "nan Hz"), ("x", "x Hz")]
)
def test_sample_rates_that_cannot_be(rate, got):
    with pytest.raises(ValueError, match=rf"^\[load_audio\] sample_rate: expected a sample rate .*, got {got}\.$"):
        vk.load_audio(tone(0.1), sample_rate=rate)


def test_a_file_states_its_own_rate():
    with pytest.raises(
        ValueError, match=r"sample_rate: expected None for \d+ bytes, which states its own, got 8000\.$"
    ):
        vk.load_audio(wav(tone(0.1)), sample_rate=8000)


def mixed(frames, cut, rate=16_000):
    said = []
    mixer = Mixer(rate, said.append)
    parts = [mixer.push(frames[i : i + cut]) for i in range(0, len(frames), cut)]
    return np.concatenate([*parts, mixer.finish()]), said


@pytest.mark.parametrize("cut", [1, 1000, 1600, 10**6])
def test_channels_that_agree_are_averaged(cut):
    n = 5_000 if cut == 1 else 40_000
    left, right = tone(n / 16_000), tone(n / 16_000, hertz=1000.0)
    for frames in ([left, right], [left, left], [left, 0 * left], [left, -0.3 * left], [left, right, left + right]):
        frames = np.stack(frames, axis=1)
        got, said = mixed(frames, cut)
        np.testing.assert_array_equal(got, frames.mean(axis=1))
        assert said == []


@pytest.mark.parametrize("cut", [1000, 1600, 10**6])
def test_channels_that_cancel_give_the_louder_one(cut):
    left = tone(3.0)
    got, said = mixed(np.stack([-0.9 * left, left], axis=1), cut)
    np.testing.assert_array_equal(got, left)
    assert said == ["has channels that cancel, from 0.00 s on: the louder one, channel 2 of 2, is taken"]


def test_channels_that_cancel_for_a_while():
    """The mean before and after; told once; no moment is lost."""
    sign = np.repeat([1, -1, 1, -1], 10 * 16_000)
    left = tone(40.0)
    got, said = mixed(np.stack([left, sign * left], axis=1), 4_000)
    assert said == ["has channels that cancel, from 10.00 s on: the louder one, channel 1 of 2, is taken"]
    np.testing.assert_array_equal(got[:160_000], left[:160_000])
    assert (np.abs(got).reshape(-1, 1_600).max(axis=1) > 0.49).all()


def test_a_moment_that_cancels_is_not_told():
    left = tone(2.0)
    right = left.copy()
    right[8_000:11_200] *= -1
    got, said = mixed(np.stack([left, right], axis=1), 4_000)
    assert said == []
    assert np.abs(np.diff(got)).max() < 1.2 * np.abs(np.diff(left)).max()


def test_silence_cancels_nothing():
    noise = (1e-5 * RNG.standard_normal(16_000)).astype(np.float32)
    _, said = mixed(np.stack([noise, -noise], axis=1), 1_600)
    assert said == []


def test_rate_and_channels_may_change():
    parts = [(16_000, tone(1.0)[:, None]), (8_000, np.stack([tone(1.0, 8_000)] * 2, axis=1))]
    samples = np.concatenate(list(to_mono(iter(parts), print)))
    assert len(samples) == 32_000
    assert np.abs(samples[16_000:] - tone(1.0))[500:-500].max() < 2e-3


@pytest.mark.fault("audio: int16 samples turned into floats were transcribed as noise")
@pytest.mark.parametrize("kind", ["array", "float64", "file", "stream"])
def test_values_far_beyond_1(kind):
    values = np.round(20_000 * tone(0.5)).astype(np.float64 if kind == "float64" else np.float32)
    cause = r"values up to 10000.*, as of int16 samples turned into floats: divide by 32768\.$"
    take = vk.load("tiny").stream().feed if kind == "stream" else vk.load_audio
    with pytest.raises(ValueError, match=r"expected float samples in \[-1, 1\] or int16, got " + cause):
        take(wav(values) if kind == "file" else values)
    with pytest.raises(ValueError, match=r"got values up to 1e\+07\.$"):
        vk.load_audio(1e7 * np.ones(100))


def test_what_overshoots_a_little_is_taken():
    np.testing.assert_array_equal(vk.load_audio(4 * tone(0.1)), 4 * tone(0.1))


@pytest.mark.fault("audio: the bytes of a file fed as samples gave an error about dtypes")
@pytest.mark.parametrize(
    ("samples", "got"),
    [
        (
            wav(tone(0.1)),
            r"\d+ bytes \(vk\.load_audio reads a file's bytes, np\.frombuffer\(data, np\.int16\) raw samples\)",
        ),
        ("speech.wav", r"'speech\.wav' \(vk\.load_audio reads files\)"),
        (np.frombuffer(b"RIFF" * 9, np.uint8), r"uint8 \(the bytes of a file\? vk\.load_audio takes them as bytes\)"),
    ],
    ids=["bytes", "path", "uint8"],
)
def test_what_a_stream_is_not_fed(samples, got):
    with pytest.raises(ValueError, match=rf"^\[stream\] samples: expected .*, got {got}\.$"):
        vk.load("tiny").stream().feed(samples)


class Breaks(io.BytesIO):
    """A file whose disk fails behind a byte; or whose reader presses Ctrl-C."""

    def __init__(self, data, at, error):
        super().__init__(data)
        self.at, self.error = at, error

    def read(self, size=-1):
        if self.tell() >= self.at:
            raise self.error
        return super().read(min(size, self.at - self.tell()) if size >= 0 else size)


@pytest.mark.fault("audio: an unreadable rest of a file took what came before it along")
def test_an_unreadable_rest():
    data = wav(tone(20.0), subtype="PCM_16")
    audio, parts = read(Breaks(data, 300_000, OSError(5, "Input/output error")))
    count = sum(map(len, parts))
    assert 100_000 < count <= 150_000
    assert audio.warnings == [f"a file object cannot be read beyond {count / 16_000:.2f} s (Input/output error)"]
    assert not audio.complete
    with pytest.raises(ValueError, match=r"expected a readable file, got a file object \(Input/output error\)\.$"):
        blocks(Breaks(data, 0, OSError(5, "Input/output error")))


def test_ctrl_c_while_a_file_is_read(capfd):
    """It passes through the decoder, which would swallow it."""
    with blocks(Breaks(wav(tone(20.0), subtype="PCM_16"), 300_000, KeyboardInterrupt())) as audio:
        with pytest.raises(KeyboardInterrupt):
            for _ in audio:
                pass
        assert audio.heard_s > 6
    assert capfd.readouterr() == ("", "")


def test_a_file_that_gives_more_than_asked():
    class Generous(io.RawIOBase):
        def read(self, size=-1):
            return b"RIFF" * 1_000

    with pytest.raises(ValueError, match=r"expected read\(512\) to give at most 512 bytes, got 4000\.$"):
        blocks(Generous())


def test_a_live_pipe_is_heard_as_it_is_written():
    """WAV through a pipe: three seconds are heard before any more comes (FFmpeg looks at 64 KB first)."""
    reader, writer = os.pipe()
    data = wav(tone(4.0), subtype="PCM_16")
    heard = threading.Event()
    waited = []

    def write():
        with open(writer, "wb", buffering=0) as file:
            file.write(data[:96_044])
            waited.append(heard.wait(60))
            file.write(data[96_044:])

    thread = threading.Thread(target=write)
    thread.start()
    with open(reader, "rb") as file, blocks(file, argument="stdin") as audio:
        parts = []
        for block in audio:
            parts.append(block)
            heard.set()
    thread.join()
    assert waited == [True]
    np.testing.assert_array_equal(np.concatenate(parts), vk.load_audio(data))


def test_closing_frees_the_file(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(tone(5.0)))
    before = len(os.listdir("/dev/fd"))
    with blocks(path) as audio:
        next(audio)
    assert list(audio) == []
    assert len(os.listdir("/dev/fd")) == before


def test_a_name_with_control_characters(tmp_path):
    path = tmp_path / "a\x1b[2J\x07.wav"
    path.write_bytes(wav(tone(1.0))[:20_000])
    with blocks(path) as audio:
        list(audio)
    assert len(audio.warnings) == 1
    assert audio.warnings[0].isprintable()
    path.write_bytes(b"text")
    with pytest.raises(ValueError) as error:  # noqa: PT011
        blocks(path)
    assert str(error.value).isprintable()


@pytest.mark.timed
@pytest.mark.soak
def test_silence_of_hours_in_a_small_file(tmp_path):
    """A FLAC of 2.5 MB that holds 12 h of silence takes the memory of a short one."""
    import subprocess
    import sys

    path = tmp_path / "silence.flac"
    with soundfile.SoundFile(path, "w", 16_000, 1, format="FLAC", subtype="PCM_16") as file:
        for _ in range(12 * 60):
            file.write(np.zeros(60 * 16_000, np.int16))
    script = (
        "import sys, re, time; from pathlib import Path; from voxtral_kernels.audio.load import blocks\n"
        "def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) / 1e3\n"
        "audio = blocks(sys.argv[1]); next(audio); before = peak()\n"
        "count = sum(map(len, audio)); print(count, before, peak())\n"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    samples, before, after = map(float, done.stdout.split())
    size = path.stat().st_size / 1e6
    took = time.perf_counter() - began
    print(f"{size:.1f} MB, {samples / 16_000 / 3600:.0f} h, {took:.0f} s; {before:.0f} -> {after:.0f} MB")
    assert samples == 12 * 3600 * 16_000 - 20_480
    assert after - before < 20
