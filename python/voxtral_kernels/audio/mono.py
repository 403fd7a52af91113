"""Any number of channels at any rate to one at 16 kHz, piece by piece: the same samples however the pieces are cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from . import SAMPLE_RATE

# The mean of channels that cancel has less than this share of the power that unrelated channels would leave in it; it
# is taken again from the larger share on.
CANCELS, AGREES = 0.1, 0.3
# What is this far below the loudest moment, or below -80 dB, is too faint to judge by.
FAINT, SILENCE = 1e-3, 1e-8
STEP_S, FADE_S = 0.1, 0.01
# So many steps are no accident.
TOLD = 5


class Resampler:
    """From any rate to 16 kHz, as soxr's HQ setting does it for the whole.

    Args:
        rate: Hz of what is pushed.
    """

    def __init__(self, rate: float) -> None:
        self._stream = None
        if rate != SAMPLE_RATE:
            import soxr

            self._stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take float32 samples ``[T]``; returns those at 16 kHz that are settled by now."""
        return samples if self._stream is None else self._stream.resample_chunk(samples)

    def finish(self) -> np.ndarray:
        """What is left; nothing may be pushed after it."""
        empty = np.empty(0, np.float32)
        return empty if self._stream is None else self._stream.resample_chunk(empty, last=True)


class Mixer:
    """The mean of the channels; the louder one while they cancel, as when one of two wires was swapped.

    Args:
        rate: Hz.
        tell: Called with a sentence the first time that channels cancel.
    """

    def __init__(self, rate: float, tell: Callable[[str], None]) -> None:
        self._rate, self._tell, self._told = rate, tell, False
        self._step = max(1, round(STEP_S * rate))
        self._rest: np.ndarray | None = None
        self._loudest = 0.0
        self._chosen: int | None = None
        self._heard = 0  # samples
        self._cancelled: list[int] = []  # where steps of them began, the first few

    def push(self, frames: np.ndarray) -> np.ndarray:
        """Take float32 ``[T, C]``, C always the same; returns mono ``[T']``, T' whole steps of 0.1 s."""
        if frames.shape[1] == 1:
            return frames[:, 0]
        if self._rest is not None and len(self._rest):
            frames = np.concatenate([self._rest, frames])
        whole = len(frames) // self._step * self._step
        self._rest = frames[whole:]
        steps = [self._mix(frames[i : i + self._step]) for i in range(0, whole, self._step)]
        return np.concatenate(steps) if steps else np.empty(0, np.float32)

    def finish(self) -> np.ndarray:
        """The rest, shorter than a step."""
        rest, self._rest = self._rest, None
        mono = np.empty(0, np.float32) if rest is None or not len(rest) else self._mix(rest)
        if 2 * len(self._cancelled) * self._step > self._heard:  # shorter than an accident, but most of it
            self._say(1)
        return mono

    def _mix(self, frames: np.ndarray) -> np.ndarray:
        mean = frames.mean(axis=1)
        before, self._chosen = self._chosen, self._choose(frames, mean)
        now, was = (mean if i is None else frames[:, i] for i in (self._chosen, before))
        # The very first step has nothing to fade from.
        if before != self._chosen and self._heard:
            fade = np.minimum(1, np.arange(len(mean), dtype=np.float32) / np.float32(FADE_S * self._rate))
            now = was + fade * (now - was)
        if self._chosen is not None and len(self._cancelled) < TOLD:
            self._cancelled.append(self._heard)
            self._channel = f"channel {self._chosen + 1} of {frames.shape[1]}"
            self._say(TOLD)
        self._heard += len(frames)
        return np.ascontiguousarray(now, np.float32)

    def _say(self, enough: int) -> None:
        if len(self._cancelled) >= enough and not self._told:
            self._told = True
            start = self._cancelled[0] / self._rate
            self._tell(f"has channels that cancel, from {start:.2f} s on: the louder one, {self._channel}, is taken")

    def _choose(self, frames: np.ndarray, mean: np.ndarray) -> int | None:
        """The channel to take instead of the mean: channels that cancel are the same, so that nothing is lost."""
        channels = np.square(frames, dtype=np.float64).mean(axis=0)
        mixed, power = np.square(mean, dtype=np.float64).mean(), channels.sum()
        self._loudest = max(self._loudest, power)
        if power < max(SILENCE, FAINT * self._loudest):
            return self._chosen
        share = mixed / (power / len(channels) ** 2)
        if self._chosen is None:
            return int(channels.argmax()) if share < CANCELS else None
        return self._chosen if share < AGREES else None


def to_mono(parts: Iterable[tuple[float, np.ndarray]], tell: Callable[[str], None]) -> Iterator[np.ndarray]:
    """Frames as they are decoded to mono at 16 kHz.

    Args:
        parts: Rate in Hz and float32 ``[T, C]``; both may change from one to the next.
        tell: Called with what a user should know, a sentence without its subject.
    """
    key, mixer, resampler = None, Mixer(SAMPLE_RATE, tell), Resampler(SAMPLE_RATE)
    for rate, frames in parts:
        if key != (rate, frames.shape[1]):
            if key is not None:
                yield resampler.push(mixer.finish())
                yield resampler.finish()
            key, mixer, resampler = (rate, frames.shape[1]), Mixer(rate, tell), Resampler(rate)
        yield resampler.push(mixer.push(frames))
    yield resampler.push(mixer.finish())
    yield resampler.finish()
