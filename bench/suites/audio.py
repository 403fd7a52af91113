"""``python -m bench audio``: hours of audio decoded, mixed and resampled in a second, and the memory that it takes.

Each file is decoded in a process of its own; seconds are its processor time, the least of a few rounds. The recordings
are ours, looped and encoded here.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from voxtral_kernels.audio import SAMPLE_RATE
from voxtral_kernels.audio.load import load_audio

from ..measure.environment import chip
from ..options import Parser

EXAMPLE = Path(__file__).parents[2] / "examples" / "one-minute.wav"
# Name, container, codec, rate and layout of the file.
KINDS = (
    ("WAV 16 kHz mono", "wav", "pcm_s16le", 16_000, "mono"),
    ("WAV 48 kHz stereo", "wav", "pcm_s16le", 48_000, "stereo"),
    ("FLAC 44.1 kHz stereo", "flac", "flac", 44_100, "stereo"),
    ("MP3 44.1 kHz stereo", "mp3", "libmp3lame", 44_100, "stereo"),
    ("M4A (AAC) 48 kHz mono", "mp4", "aac", 48_000, "mono"),
    ("Ogg (Opus) 48 kHz mono", "ogg", "libopus", 48_000, "mono"),
)
# Prints processor seconds, seconds of audio, and the peak of memory above what was there after the first block.
DECODE = """
import re, sys, time
from pathlib import Path
from voxtral_kernels.audio.load import blocks
def peak():
    status = Path("/proc/self/status")
    return int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) / 1e3 if status.exists() else float("nan")
next(blocks(sys.argv[1]))
before, start = peak(), time.process_time()
audio = blocks(sys.argv[1])
for block in audio: pass
print(time.process_time() - start, audio.heard_s, peak() - before)
"""


class Row(NamedTuple):
    """One kind of file: processor seconds, seconds of audio, megabytes more than for its first block."""

    name: str
    seconds: float
    audio_s: float
    megabytes: float

    @property
    def hours_a_second(self) -> float:
        return self.audio_s / 3600 / self.seconds


def encode(path: Path, container: str, codec: str, rate: int, layout: str, minutes: int) -> None:
    """A minute of the example, looped, as a file."""
    import av

    frame = av.AudioFrame.from_ndarray(
        np.tile(load_audio(EXAMPLE)[: 60 * SAMPLE_RATE], minutes)[None], format="flt", layout="mono"
    )
    frame.sample_rate, frame.pts = SAMPLE_RATE, 0
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        context = stream.codec_context
        context.open()
        size = context.frame_size if context.frame_size > 1 else 1024
        resampler = av.AudioResampler(format=context.format, layout=layout, rate=rate, frame_size=size)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))


def decode(path: Path) -> tuple[float, float, float]:
    done = subprocess.run([sys.executable, "-c", DECODE, str(path)], capture_output=True, text=True, check=True)
    seconds, audio_s, megabytes = map(float, done.stdout.split())
    return seconds, audio_s, megabytes


def measure(minutes: int, rounds: int) -> Iterable[Row]:
    """A row for each kind, as it is measured."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "audio")
        for name, container, codec, rate, layout in KINDS:
            encode(path, container, codec, rate, layout, minutes)
            yield Row(name, *min(decode(path) for _ in range(rounds)))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = Parser(prog="bench audio", description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=int, default=30, help="length of each file (30)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of which the least counts (3)")
    options = parser.parse_args(argv)
    print(f"{chip()}, {options.minutes} min of each, to 16 kHz mono, processor time")
    for row in measure(options.minutes, options.rounds):
        times = f"{row.hours_a_second:6.2f} hours a second"
        print(f"  {row.name:24} {times}  {row.seconds:7.2f} s  {row.megabytes:+6.1f} MB", flush=True)
    return 0
