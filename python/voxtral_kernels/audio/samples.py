"""Samples that are in memory already: which arrays are taken, and what is said of the others."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .._check import fail
from . import MAX_RATE, MIN_RATE

# Float samples lie in [-1, 1]; some overshoot. Beyond this they are on another scale.
LOUDEST = 10.0
INT16 = np.float32(32768)


def as_samples(source: Any, *, op: str, argument: str) -> np.ndarray:
    """Samples ``[T]`` as float32: any array of floats as they are, int16 divided by 32768.

    Raises:
        ValueError: not one-dimensional, another dtype, NaN, infinite or far beyond [-1, 1]; or no samples at all but
            the name or the bytes of a file.
    """
    _refuse_files(source, op, argument)
    try:
        samples = np.asarray(source)
    except (TypeError, ValueError, RuntimeError):
        raise fail(op, argument, "samples [T] of numbers", type(source).__name__) from None
    if samples.dtype.kind == "O":
        raise fail(op, argument, "samples [T] of numbers", type(source).__name__)
    if samples.ndim != 1:
        raise fail(op, argument, "samples [T] (1 axis, mono)", f"shape {samples.shape}")
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / INT16
    if samples.size and samples.dtype.kind != "f":
        hint = " (the bytes of a file? vk.load_audio takes them as bytes)" if samples.dtype == np.uint8 else ""
        raise fail(op, argument, "float samples in [-1, 1] or int16", f"{samples.dtype}{hint}")
    # A float64 beyond float32's range turns infinite here, and is reported below.
    with np.errstate(over="ignore"):
        samples = samples.astype(np.float32)
    check_values(samples, op, argument)
    return samples


def check_values(samples: np.ndarray, op: str, argument: str, *, name: str = "", start: int = 0) -> None:
    """Every one of the float samples ``[T]`` or ``[T, C]`` is a number, and none is far beyond [-1, 1].

    Args:
        samples: Part of a recording.
        op, argument: Of the error.
        name: The file that they come from.
        start: Number of their first one in the recording.

    Raises:
        ValueError: names the first bad value and where it is.
    """
    if samples.size == 0:
        return
    peak = max(float(samples.max()), -float(samples.min()))
    if peak <= LOUDEST:  # false for NaN too
        return
    of = f" of {name}" if name else ""
    if bad := np.argwhere(~np.isfinite(samples)).tolist():
        raise fail(op, argument, "finite samples", f"{samples[tuple(bad[0])]} at sample {start + bad[0][0]}{of}")
    cause = ", as of int16 samples turned into floats: divide by 32768" if peak <= 32768 else ""
    raise fail(op, argument, "float samples in [-1, 1] or int16", f"values up to {peak:.6g}{of}{cause}")


def check_rate(op: str, argument: str, rate: Any, name: str = "") -> float:
    """A sample rate in Hz that speech can have; outside, resampling to 16 kHz would fill the memory."""
    expected = f"a sample rate from {MIN_RATE} to {MAX_RATE} Hz"
    of = f" of {name}" if name else ""
    try:
        if isinstance(rate, (bool, str)) or not MIN_RATE <= float(rate) <= MAX_RATE:
            raise fail(op, argument, expected, f"{rate} Hz{of}")
    except (TypeError, OverflowError):
        raise fail(op, argument, expected, repr(rate)) from None
    return float(rate)


def _refuse_files(source: Any, op: str, argument: str) -> None:
    """Samples are expected; what a file is called, or its bytes, are not samples."""
    expected = "samples [T] of numbers"
    if isinstance(source, (bytes, bytearray)):
        how = "vk.load_audio reads a file's bytes, np.frombuffer(data, np.int16) raw samples"
        raise fail(op, argument, expected, f"{len(source)} bytes ({how})")
    if isinstance(source, (str, os.PathLike)):
        raise fail(op, argument, expected, f"{str(source)!r} (vk.load_audio reads files)")
