"""Other packages' models as the tests and the benchmarks run them: imported without PyTorch, built small."""

from __future__ import annotations

from ..paths import HOSTS as FOLDER
from ..paths import TINY
from .importing import host, install, installed, randomize
from .realtime import DELAY, REALTIME, SAMPLE_RATE, SAMPLES_PER_TOKEN, MlxAudio, Voxmlx, WhisperLiveKit

__all__ = [
    "DELAY",
    "FOLDER",
    "REALTIME",
    "SAMPLES_PER_TOKEN",
    "SAMPLE_RATE",
    "TINY",
    "MlxAudio",
    "Voxmlx",
    "WhisperLiveKit",
    "host",
    "install",
    "installed",
    "randomize",
]
