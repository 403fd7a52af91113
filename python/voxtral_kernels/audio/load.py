"""Audio of any source as 16 kHz mono float32: in blocks (`blocks`), or all of it (`load_audio`)."""

from __future__ import annotations

import io
import warnings
from typing import IO, TYPE_CHECKING

import numpy as np

from .._check import fail
from . import AudioWarning
from .blocks import Blocks, blocks, raw_blocks
from .source import OP

if TYPE_CHECKING:
    from .types import Float32, Source

__all__ = ["Blocks", "blocks", "load_audio", "load_raw", "raw_blocks"]


def load_audio(source: Source, *, sample_rate: float | None = None, argument: str = "audio") -> Float32:
    """Audio as 16 kHz mono samples.

    Args:
        source: A path, the bytes of an audio file, a binary file object, or samples ``[T]``: float in [-1, 1] or
            int16.
        sample_rate: Of samples, in Hz; None for 16 kHz. A file states its own.
        argument: The name that errors call ``source`` by.

    Returns:
        Samples ``[T]``, float32. Several channels are averaged (while they cancel, the louder one is taken), another
        sample rate is resampled (soxr HQ).

    Warns:
        AudioWarning: a file that is cut off or damaged gives what can be read of it; or channels cancel.

    Raises:
        ValueError: there is no such file, it is not audio, it holds no samples, or a sample is NaN, infinite or far
            beyond 1.

    Source: FFmpeg decodes (PyAV), soxr resamples, as ``mistral_common.tokens.tokenizers.audio.Audio`` does.
    """
    return _whole(blocks(source, sample_rate=sample_rate, argument=argument), argument)


def load_raw(source: bytes | IO[bytes], *, argument: str = "audio") -> np.ndarray:
    """Headerless audio: signed 16-bit little-endian, 16 kHz, mono; float32 ``[T]``.

    Warns:
        AudioWarning: half a sample at the end.

    Raises:
        ValueError: no samples.
    """
    return _whole(raw_blocks(io.BytesIO(source) if isinstance(source, bytes) else source), argument)


def warn(audio: Blocks, stacklevel: int = 3) -> None:
    """The warnings of audio that was read, as Python's."""
    for text in audio.warnings:
        warnings.warn(text, AudioWarning, stacklevel=stacklevel)


def _whole(audio: Blocks, argument: str) -> np.ndarray:
    parts = list(audio)
    if not parts:
        raise fail(OP, argument, "at least one sample", "none")
    warn(audio, stacklevel=4)
    return np.concatenate(parts)
