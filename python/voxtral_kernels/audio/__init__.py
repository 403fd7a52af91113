"""Waveforms: any file as 16 kHz mono in blocks (``load``); log-mel spectrograms, whole or as a stream (``mel``).

A file's way: ``source`` (bytes from anywhere) -> ``header`` (sizes that are wrong) -> ``decode`` (FFmpeg) -> ``mono``
(mixed, resampled) -> ``blocks``. Arrays enter at ``samples``.
"""

SAMPLE_RATE = 16_000
# Outside these, a sample rate is an accident.
MIN_RATE, MAX_RATE = 1_000, 768_000


class AudioWarning(UserWarning):
    """Audio that was read, but not as its file promises: cut off, damaged, channels that cancel."""
