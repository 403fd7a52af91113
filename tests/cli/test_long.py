"""Recordings of any length: text from the first second on, in the memory of a short one, the words of the WAV."""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import av
import pytest
import soundfile

MODEL_AND = 200e6
FIRST_S = 2.0


class Run(NamedTuple):
    """The words of a transcription, when the first came and when it ended, and the most memory of the process."""

    words: list[str]
    first_s: float  # seconds
    total_s: float
    first_work: int  # ticks of the processors, which no other process's load changes
    total_work: int
    peak: int


def work_of(process):
    """Ticks that processors have worked for it."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def transcribe(path):
    """A run of the command, read as it writes."""
    began, first, text, peak, first_work, total_work = time.perf_counter(), None, b"", 0, 0, 0
    command = [sys.executable, "-m", "voxtral_kernels", "transcribe", str(path), "--model", "tiny"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:

        def watch():
            nonlocal peak, total_work
            status = Path(f"/proc/{process.pid}/status")
            while process.poll() is None and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
                peak, total_work = max(peak, int(found[1]) * 1024), work_of(process)
                time.sleep(0.1)

        watcher = threading.Thread(target=watch)
        watcher.start()
        while data := process.stdout.read1(1 << 16):
            if first is None and data.strip():
                first, first_work = time.perf_counter() - began, work_of(process)
            text += data
        errors = process.stderr.read()
        watcher.join()
    assert (process.returncode, errors) == (0, b"")
    return Run(text.decode().split(), first, time.perf_counter() - began, first_work, total_work, peak)


def loop(recording, seconds, folder):
    """An MP3 of so many seconds of a recording over and over, and the WAV of float samples that FFmpeg makes of it.

    Another decoder's samples, in 16 bits, differ by rounding, which tips a near-tie in two hours of them.
    """
    samples, rate = soundfile.read(recording, dtype="float32")
    left = round(seconds * rate)
    with soundfile.SoundFile(folder / "a.mp3", "w", rate, 1, format="MP3", subtype="MPEG_LAYER_III") as file:
        while left > 0:
            file.write(samples[:left])
            left -= len(samples)
    with av.open(str(folder / "a.mp3")) as file, soundfile.SoundFile(folder / "a.wav", "w", rate, 1, "FLOAT") as out:
        for frame in file.decode(audio=0):
            out.write(frame.to_ndarray().T)
    return folder / "a.mp3", folder / "a.wav"


def check(recording, short, seconds, folder):
    mp3, wav = loop(recording, seconds, folder)
    base, long, plain = transcribe(short), transcribe(mp3), transcribe(wav)
    print(f"{seconds} s of MP3: {len(long.words)} words, the first after {long.first_s:.2f} s of {long.total_s:.0f} s")
    peaks = [f"{run.peak / 1e6:.0f} MB" for run in (long, plain, base)]
    print("peak {}, of the WAV {}, of a recording of 3.5 s {}".format(*peaks))
    assert long.words == plain.words
    assert len(long.words) > seconds / 2
    for run in (long, plain):
        assert run.peak - base.peak <= MODEL_AND
    return long


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of another process is read from /proc")
@pytest.mark.fault("audio: a long MP3 was decoded as a whole before the first word: silence, and gigabytes")
def test_two_minutes(examples, cards, tmp_path):
    long = check(examples / "one-minute.wav", cards, 120, tmp_path)
    assert long.first_work < 0.8 * long.total_work


@pytest.mark.soak
@pytest.mark.timed
@pytest.mark.skipif(sys.platform != "linux", reason="the memory of another process is read from /proc")
def test_two_hours(examples, cards, tmp_path):
    assert check(examples / "one-minute.wav", cards, 7200, tmp_path).first_s <= FIRST_S
