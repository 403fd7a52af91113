"""Log-mel spectrogram, of a whole clip or of a stream, by one formula.

Bit equality of stream and batch rests on three choices, so that it holds for any split and on any machine:

* a frame is always the same 400 numbers (reflection at both ends included), whichever call it is computed in;
* NumPy's FFT transforms each row by itself, with the same plan;
* the mel filters are applied by element-wise ufuncs, tap after tap (a Slaney filter of 128 spans 9 bins at most). A
  matrix product would not do: a BLAS picks its kernel, and so the order of its sums, by the number of rows.

Arithmetic is float64 and rounded to float32 once, at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from .._check import fail
from . import SAMPLE_RATE
from .samples import as_samples

OP = "log_mel"
# Frames of a clip that are taken at once, which bounds its memory; of those, frames computed together: what they pass
# through stays in a processor's cache.
BLOCK, _TOGETHER = 4096, 128


@dataclass(frozen=True)
class MelConfig:
    """The front-end of both models; they differ in ``log_mel_max`` only.

    Args:
        n_mels: Slaney filters, from 0 Hz to half the sample rate.
        n_fft: Samples of a window (periodic Hann) and points of its transform; even.
        hop: Samples from one frame to the next.
        sample_rate: Hz.
        log_mel_max: What stands for the loudest log10 power: values more than 8 below it are raised to that floor.
            1.5 for Voxtral Realtime; None is the clip's own maximum (Voxtral offline), which no stream can know.
    """

    n_mels: int = 128
    n_fft: int = 400
    hop: int = 160
    sample_rate: int = SAMPLE_RATE
    log_mel_max: float | None = 1.5

    def n_frames(self, n_samples: int) -> int:
        """Frames of a clip: one centred on every ``hop``-th sample, without the last (``n_samples // hop``)."""
        return n_samples // self.hop

    @cached_property
    def window(self) -> np.ndarray:
        """Periodic Hann window, ``[n_fft]``, float64."""
        return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.n_fft) / self.n_fft)

    @cached_property
    def taps(self) -> tuple[np.ndarray, np.ndarray]:
        """The filters without their zeros: bin and weight of each tap, ``[n_taps, n_mels]``, lowest bin first."""
        return _taps(self.n_fft, self.n_mels, self.sample_rate)

    @cached_property
    def dense_taps(self) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
        """`taps` without the zeros that fill short filters up: a third of them is left.

        Returns:
            Bins and weights of the first tap of every filter, of the second of those that have two, and so on, the
            filters with most taps first; and at what place of that order each filter stands, ``[n_mels]``.
        """
        return _dense_taps(self.n_fft, self.n_mels, self.sample_rate)


def log_mel(samples: Any, config: MelConfig | None = None) -> np.ndarray:
    """Log-mel spectrogram ``(max(log10(max(|STFT|^2 @ filters, 1e-10)), log_mel_max - 8) + 4) / 4``.

    Args:
        samples: ``[T]`` at ``config.sample_rate``, float in [-1, 1] or int16.
        config: None for Voxtral Realtime's.

    Returns:
        ``[T // hop, n_mels]``, float32. Frame i is centred on sample ``i * hop``; beyond its ends the clip is mirrored.

    Raises:
        ValueError: samples that are not one-dimensional, NaN or infinite.

    Source: transformers ``VoxtralRealtimeFeatureExtractor`` and ``WhisperFeatureExtractor``.
    """
    config = config or MelConfig()
    clip, samples = ClipMel(config), as_samples(samples, op=OP, argument="samples")
    step = BLOCK * config.hop
    parts = [clip.feed(samples[i : i + step]) for i in range(0, len(samples), step)]
    return clip.clamp(np.concatenate([*parts, clip.finish()]))


class ClipMel:
    """The same spectrogram of a clip that comes in parts, without its floor: that is set by its maximum, at its end.

    ``clamp(np.concatenate([feed(a), feed(b), ..., finish()]))`` equals ``log_mel`` of all the samples, bit for bit:
    rounding keeps the order of values, so that the floor may be rounded, and raised to, after it.
    """

    def __init__(self, config: MelConfig) -> None:
        self._frames, self._top, self._fixed = _Frames(config), -10.0, config.log_mel_max

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """Take float32 samples ``[T]``; returns the frames now complete, ``[F_new, n_mels]`` float32."""
        return self._scaled(self._frames.feed(samples))

    def finish(self) -> np.ndarray:
        """Mirror the end and return what frames are left."""
        return self._scaled(self._frames.finish())

    def clamp(self, mel: np.ndarray) -> np.ndarray:
        """Raise frames to the floor, in place; only after ``finish``."""
        top = self._top if self._fixed is None else self._fixed
        return np.maximum(mel, _scale(np.float64(top - 8.0)), out=mel)

    def _scaled(self, log_power: np.ndarray) -> np.ndarray:
        self._top = max(self._top, float(log_power.max(initial=-10.0)))
        return _scale(log_power)


class MelStream:
    """The same spectrogram, frame by frame as the samples come.

    ``np.concatenate([feed(a), feed(b), ..., finish()])`` equals ``log_mel`` of all the samples, bit for bit, for any
    split. A frame comes out as soon as its last sample is in, 200 samples after its centre.
    """

    def __init__(self, config: MelConfig | None = None):
        self.config = config or MelConfig()
        top = self.config.log_mel_max
        if top is None:
            raise fail("mel_stream", "config", "a constant log_mel_max", "None (no stream knows its maximum)")
        self._top = top
        self._frames = _Frames(self.config)
        self._finished = False

    def feed(self, samples: Any) -> np.ndarray:
        """Take samples ``[T]``, any number of them; returns the frames now complete, ``[F_new, n_mels]`` float32.

        Raises:
            ValueError: as ``log_mel``; or the stream was finished. The stream is unchanged then.
        """
        if self._finished:
            raise fail("mel_stream", "feed", "a stream that is not finished", "one that is")
        samples = as_samples(samples, op="mel_stream", argument="samples")
        return self._floored(self._frames.feed(samples))

    def finish(self) -> np.ndarray:
        """Mirror the end and return what frames are left, ``[F_new, n_mels]`` (at most 1); nothing the second time."""
        if self._finished:
            return np.empty((0, self.config.n_mels), np.float32)
        self._finished = True
        return self._floored(self._frames.finish())

    def _floored(self, log_power: np.ndarray) -> np.ndarray:
        return _scale(np.maximum(log_power, self._top - 8.0))


class _Frames:
    """Log10 power ``[F, n_mels]`` (float64) of the frames of a growing clip."""

    def __init__(self, config: MelConfig):
        self.config = config
        self.unread = np.empty(0, np.float32)  # samples that a frame to come still needs
        self.mirrored = False  # whether the reflection of the clip's beginning stands before it
        self.n_samples = 0
        self.done = 0  # frames computed

    def feed(self, samples: np.ndarray) -> np.ndarray:
        self.unread = np.concatenate([self.unread, samples])
        self.n_samples += len(samples)
        half = self.config.n_fft // 2
        if not self.mirrored:
            if self.n_samples <= half:  # the reflection needs half a window of samples besides the first
                return np.empty((0, self.config.n_mels))
            self.unread = np.concatenate([self.unread[half:0:-1], self.unread])
            self.mirrored = True
        return self._advance()

    def finish(self) -> np.ndarray:
        half = self.config.n_fft // 2
        missing = self.config.n_frames(self.n_samples) - self.done
        if missing == 0:
            return np.empty((0, self.config.n_mels))
        # Not mirrored yet: a clip so short that both ends reflect the same samples, perhaps more than once.
        self.unread = np.pad(self.unread, (0 if self.mirrored else half, half), mode="reflect")
        return self._advance()[:missing]

    def _advance(self) -> np.ndarray:
        """All frames that ``unread`` holds whole; keeps what the next one needs."""
        n_fft, hop = self.config.n_fft, self.config.hop
        n_new = max(0, (len(self.unread) - n_fft) // hop + 1)
        out = np.empty((n_new, self.config.n_mels))
        for i in range(0, n_new, _TOGETHER):
            n = min(_TOGETHER, n_new - i)
            span = self.unread[i * hop : (i + n - 1) * hop + n_fft]
            out[i : i + n] = _log_power(np.lib.stride_tricks.sliding_window_view(span, n_fft)[::hop], self.config)
        self.done += n_new
        self.unread = self.unread[n_new * hop :].copy()
        return out


def _log_power(frames: np.ndarray, config: MelConfig) -> np.ndarray:
    """``[F, n_fft]`` float32 -> ``[F, n_mels]`` float64. Each frame alone: see the head of this file."""
    spectrum = np.fft.rfft(frames * config.window)
    power = spectrum.real**2 + spectrum.imag**2
    taps, places = config.dense_taps
    mel = np.zeros((len(frames), config.n_mels))
    for bins, weights in taps:
        mel[:, : len(bins)] += power.take(bins, axis=1) * weights
    return np.log10(np.maximum(mel.take(places, axis=1), 1e-10))


def _scale(log_power: Any) -> Any:
    return ((log_power + 4.0) / 4.0).astype(np.float32)


@cache
def _taps(n_fft: int, n_mels: int, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    from mistral_common.audio import mel_filter_bank

    filters = mel_filter_bank(n_fft // 2 + 1, n_mels, 0.0, sample_rate / 2, sample_rate)  # [n_bins, n_mels]
    n_bins = len(filters)
    first = (filters != 0).argmax(axis=0)
    last = n_bins - 1 - (filters[::-1] != 0).argmax(axis=0)
    bins = np.minimum(first + np.arange((last - first).max() + 1)[:, None], n_bins - 1)
    # A tap clipped to the last bin would count it twice.
    inside = first + np.arange(len(bins))[:, None] <= last
    return bins, np.where(inside, np.take_along_axis(filters, bins, axis=0), 0.0)


@cache
def _dense_taps(n_fft: int, n_mels: int, sample_rate: int) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    bins, weights = _taps(n_fft, n_mels, sample_rate)
    used = len(bins) - (weights[::-1] != 0).argmax(axis=0)
    order = np.argsort(-used, kind="stable")
    counts = [int((used > tap).sum()) for tap in range(len(bins))]
    rows = zip(bins[:, order], weights[:, order], counts, strict=True)
    return [(b[:n].copy(), w[:n].copy()) for b, w, n in rows], np.argsort(order)
