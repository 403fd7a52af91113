"""Audio of any source as 16 kHz mono float32. mistral_common decodes, mixes and resamples (soundfile, soxr)."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .._check import fail
from . import SAMPLE_RATE

OP = "load_audio"
DECODABLE = "an audio file (WAV, FLAC, OGG, MP3, ...)"
# Outside these, a header's sample rate is an accident, and resampling to 16 kHz would fill the memory.
MIN_RATE, MAX_RATE = 1_000, 768_000


def load_audio(source: Any, *, argument: str = "audio") -> np.ndarray:
    """Audio as 16 kHz mono samples.

    Args:
        source: A path, the bytes of an audio file, a binary file object, or samples ``[T]`` that are 16 kHz mono
            already: float in [-1, 1], or int16.
        argument: The name that errors call ``source`` by.

    Returns:
        Samples ``[T]``, float32. Several channels are averaged, another sample rate is resampled (soxr HQ).

    Raises:
        ValueError: there is no such file, it is not audio, it holds no samples, or a sample is NaN or infinite.

    Source: ``mistral_common.tokens.tokenizers.audio.Audio``.
    """
    if isinstance(source, (str, os.PathLike)):
        return _decode(_read(Path(source), argument), repr(str(source)), argument)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode(bytes(source), f"{len(source)} bytes", argument)
    if hasattr(source, "read"):
        data = source.read()
        if not isinstance(data, bytes):
            raise fail(OP, argument, "a file object opened in binary mode", f"one that reads {type(data).__name__}")
        return _decode(data, repr(getattr(source, "name", "a file object")), argument)
    samples = as_samples(source, op=OP, argument=argument)
    if samples.size == 0:
        raise fail(OP, argument, "at least one sample", "none")
    return samples


def as_samples(source: Any, *, op: str, argument: str) -> np.ndarray:
    """Samples ``[T]`` as float32: any array of floats as they are, int16 divided by 32768.

    Raises:
        ValueError: not one-dimensional, another dtype, NaN or infinite.
    """
    try:
        samples = np.asarray(source)
    except (TypeError, ValueError, RuntimeError):
        raise fail(op, argument, "samples [T] of numbers", type(source).__name__) from None
    if samples.dtype.kind == "O":
        raise fail(op, argument, "samples [T] of numbers", type(source).__name__)
    if samples.ndim != 1:
        raise fail(op, argument, "samples [T] (1 axis, mono)", f"shape {samples.shape}")
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(32768)
    if samples.size and samples.dtype.kind != "f":
        raise fail(op, argument, "float samples in [-1, 1] or int16", samples.dtype)
    # A float64 beyond float32's range turns infinite here, and is reported below.
    with np.errstate(over="ignore"):
        samples = samples.astype(np.float32)
    return _finite(samples, op, argument)


def load_raw(source: bytes | BinaryIO, *, argument: str = "audio") -> np.ndarray:
    """Headerless audio: signed 16-bit little-endian, 16 kHz, mono; float32 ``[T]``.

    Raises:
        ValueError: no samples, or half a sample at the end.
    """
    blocks = list(iter_raw(io.BytesIO(source) if isinstance(source, bytes) else source, argument=argument))
    if not blocks:
        raise fail(OP, argument, "at least one sample", "none")
    return np.concatenate(blocks)


def iter_raw(file: BinaryIO, *, block: int = SAMPLE_RATE // 5, argument: str = "audio") -> Iterator[np.ndarray]:
    """Blocks of float32 samples, at most ``block`` long, as soon as ``file`` has them: for live input through a pipe.

    Args:
        file: Yields signed 16-bit little-endian, 16 kHz, mono. ``read1`` is used where it has one, so that a slow pipe
            is not waited on for a full block.
        block: The most samples at once.
        argument: The name that errors call the audio by.

    Raises:
        ValueError: at the end, if half a sample is left over.
    """
    read = getattr(file, "read1", file.read)
    rest = b""
    while data := read(2 * block - len(rest)):
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        if whole:
            yield np.frombuffer(data[:whole], "<i2").astype(np.float32) / np.float32(32768)
    if rest:
        raise fail(OP, argument, "raw audio of whole 16-bit samples", "an odd number of bytes")


def _read(path: Path, argument: str) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) or stat.S_ISFIFO(mode):
            return path.read_bytes()
        kind = "folder" if stat.S_ISDIR(mode) else "device"
        raise fail(OP, argument, "an audio file", f"the {kind} {str(path)!r}")
    except FileNotFoundError:
        raise fail(OP, argument, "a file that exists", repr(str(path))) from None
    except OSError as error:
        raise fail(OP, argument, "a readable file", f"{str(path)!r} ({error.strerror})") from None


class _Bytes(io.BytesIO):
    """What libsndfile reads. A damaged file makes it seek anywhere, and an exception in its callback gets printed."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with contextlib.suppress(ValueError):
            super().seek(offset, whence)
        return self.tell()


def _decode(data: bytes, name: str, argument: str) -> np.ndarray:
    import soundfile
    from mistral_common.tokens.tokenizers.audio import Audio

    if not data:
        raise fail(OP, argument, DECODABLE, f"{name}, which is empty")
    try:
        with soundfile.SoundFile(_Bytes(data)) as file, np.errstate(invalid="ignore", over="ignore"):
            samples = file.read(dtype="float32")
            mono = samples if samples.ndim == 1 else samples.mean(axis=1)
            audio = Audio(mono, file.samplerate, file.format.lower())
    except (soundfile.SoundFileError, ValueError, AssertionError, MemoryError) as error:
        reason = str(getattr(error, "error_string", "") or type(error).__name__).strip().rstrip(".")
        raise fail(OP, argument, DECODABLE, f"{name} ({reason})") from None
    if mono.size == 0:
        raise fail(OP, argument, "at least one sample", f"{name}, which holds none")
    if not MIN_RATE <= audio.sampling_rate <= MAX_RATE:
        raise fail(OP, argument, f"a sample rate from {MIN_RATE} to {MAX_RATE} Hz", f"{audio.sampling_rate} Hz")
    _finite(mono, OP, argument)
    audio.resample(SAMPLE_RATE)
    samples = np.ascontiguousarray(audio.audio_array, dtype=np.float32)
    if samples.size == 0:
        raise fail(OP, argument, "at least one sample at 16 kHz", f"{name}, which is shorter")
    return samples


def _finite(samples: np.ndarray, op: str, argument: str) -> np.ndarray:
    if not np.isfinite(samples).all():
        bad = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise fail(op, argument, "finite samples", f"{samples[bad]} at sample {bad}")
    return samples
