"""A recording as the encoder reads it: mel chunks of 30 s, made while it comes; its samples need not be kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...audio.mel import ClipMel, MelConfig


@dataclass(frozen=True)
class Heard:
    """A recording that was heard.

    Attributes:
        chunks: Log-mel of each chunk, ``[chunk_frames, n_mels]`` float32, the last padded with silence.
        n_samples: Before padding.
        complete: False if more of it could not be read.
    """

    chunks: list[np.ndarray]
    n_samples: int
    complete: bool


class Chunks:
    """The chunks of a clip that comes in blocks: those of ``Voxtral.log_mel`` of the whole, bit for bit.

    Args:
        config: Front-end.
        chunk_samples: Samples of a chunk, a multiple of its hop.
    """

    def __init__(self, config: MelConfig, chunk_samples: int) -> None:
        self._mel, self._chunk_samples = ClipMel(config), chunk_samples
        self._shape = (chunk_samples // config.hop, config.n_mels)
        self._filled = 0  # frames of the last chunk
        self.done: list[np.ndarray] = []  # the last one in the making; without their floor
        self.n_samples = 0

    def feed(self, samples: np.ndarray) -> None:
        """Take float32 samples ``[T]``."""
        self.n_samples += len(samples)
        self._fill(self._mel.feed(samples))

    def finish(self) -> list[np.ndarray]:
        """Pad to a whole chunk; every chunk with its floor."""
        self._fill(self._mel.feed(np.zeros(-self.n_samples % self._chunk_samples, np.float32)))
        self._fill(self._mel.finish())
        return [self._mel.clamp(chunk) for chunk in self.done]

    def _fill(self, frames: np.ndarray) -> None:
        while len(frames):
            if not self.done or self._filled == len(self.done[-1]):
                self.done.append(np.empty(self._shape, np.float32))
                self._filled = 0
            n = min(len(frames), len(self.done[-1]) - self._filled)
            self.done[-1][self._filled : self._filled + n] = frames[:n]
            self._filled, frames = self._filled + n, frames[n:]
