"""Waveforms: loading them (``load``) and their log-mel spectrogram, whole or as a stream (``mel``)."""

SAMPLE_RATE = 16_000
