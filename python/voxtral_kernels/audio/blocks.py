"""A recording as 16 kHz mono in blocks, so that its length is no matter of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any, Self

import numpy as np

from .._check import fail
from . import SAMPLE_RATE
from .decode import Decoder
from .mono import Resampler, to_mono
from .samples import INT16, as_samples, check_rate
from .source import OP, open_source

# Seconds of a block: what one step of a live view is worth.
BLOCK_S = 1.28


class Blocks(Iterator[np.ndarray]):
    """Blocks of float32 samples ``[T]`` at 16 kHz; made by `blocks`. Leaving ``with``, or ``close``, frees the file.

    Attributes:
        title: What to call the audio in a message, printable.
        duration_s: Length in seconds as stated; None where nobody can know it (a pipe) or it is not stated.
        warnings: Sentences about what is not as it should be; final with the last block.
        complete: False once the audio turned out to go on where it cannot be read.
    """

    def __init__(self, title: str, duration_s: float | None, close: Callable[[], None] = lambda: None) -> None:
        self.title, self.duration_s = title, duration_s
        self._heard = 0
        self.warnings: list[str] = []
        self.complete = True
        self._close = close
        self._source: Iterator[np.ndarray] = iter(())

    def __next__(self) -> np.ndarray:
        try:
            block = next(self._source)
        except BaseException:  # StopIteration is the usual one
            self.close()
            raise
        self._heard += len(block)
        return block

    @property
    def heard_s(self) -> float:
        """Seconds of the blocks given until now."""
        return self._heard / SAMPLE_RATE

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """No block comes after it."""
        self._source = iter(())
        self._close()

    def tell(self, what: str) -> None:
        """Add a warning: a sentence without its subject."""
        self.warnings.append(f"{self.title} {what}")


def blocks(
    source: Any, *, sample_rate: float | None = None, seconds: float = BLOCK_S, argument: str = "audio"
) -> Blocks:
    """Audio of any kind and length, decoded, mixed to mono and resampled as the blocks are asked for.

    A file is opened and its first block decoded at once, so that what is no audio is told here.

    Args:
        source: A path, the bytes of an audio file, a binary file object, or samples ``[T]``: float in [-1, 1] or
            int16; or an iterator of such samples. What `blocks` made is given back. A named pipe, or a file object
            that cannot seek, gives blocks as they come.
        sample_rate: Of samples, in Hz; None for 16 kHz. A file states its own.
        seconds: Length of each block but the last; from a pipe it is the most.
        argument: The name that errors call ``source`` by.

    Raises:
        ValueError: there is no such file, it is not audio, it holds no samples, or a sample is NaN, infinite or far
            beyond 1. What stands further on is raised when its block is asked for.
    """
    if isinstance(source, Blocks):
        return source
    size = max(1, round(seconds * SAMPLE_RATE))
    opened = open_source(source, argument)
    if opened is None and isinstance(source, Iterator):
        return _of_parts(source, sample_rate, size, argument)
    if opened is None:
        return _of_samples(source, sample_rate, size, argument)
    try:
        if sample_rate is not None:
            raise fail(OP, "sample_rate", f"None for {opened.title}, which states its own", sample_rate)
        out = Blocks(opened.title, None)
        decoder = Decoder(opened, argument, out.tell)
    except BaseException:
        opened.close()
        raise
    out.duration_s = decoder.duration_s

    def close() -> None:
        out.complete = decoder.complete
        decoder.close()
        opened.close()

    out._close = close
    live = opened.size is None
    return _started(out, _cut(to_mono(decoder.frames(), out.tell), size, whole=not live), live, argument)


def raw_blocks(file: IO[bytes], *, seconds: float = BLOCK_S, title: str = "raw audio") -> Blocks:
    """Headerless audio, signed 16-bit little-endian, 16 kHz, mono, as soon as ``file`` has it: for live input.

    Args:
        file: ``read1`` is used where it has one, so that a slow pipe is not waited on for a full block.
        seconds: The most at once.
        title: What messages call it.
        argument: The name that errors call the audio by.
    """
    out = Blocks(title, None)
    out._source = _raw(file, max(1, round(seconds * SAMPLE_RATE)), out)
    return out


def _of_samples(source: Any, sample_rate: float | None, size: int, argument: str) -> Blocks:
    rate = SAMPLE_RATE if sample_rate is None else check_rate(OP, "sample_rate", sample_rate)
    samples = as_samples(source, op=OP, argument=argument)
    if samples.size == 0:
        raise fail(OP, argument, "at least one sample", "none")
    out = Blocks("samples", len(samples) / rate)
    resampler, step = Resampler(rate), max(1, round(size * rate / SAMPLE_RATE))
    parts = (resampler.push(samples[i : i + step]) for i in range(0, len(samples), step))
    return _started(out, _cut(_then(parts, resampler.finish), size, whole=True), False, argument)


def _of_parts(source: Iterator[Any], sample_rate: float | None, size: int, argument: str) -> Blocks:
    rate = SAMPLE_RATE if sample_rate is None else check_rate(OP, "sample_rate", sample_rate)
    out = Blocks("audio", None)
    parts = ((rate, as_samples(part, op=OP, argument=argument)[:, None]) for part in source)
    return _started(out, _cut(to_mono(parts, out.tell), size, whole=False), False, argument)


def _then(parts: Iterator[np.ndarray], last: Callable[[], np.ndarray]) -> Iterator[np.ndarray]:
    yield from parts
    yield last()


def _started(out: Blocks, source: Iterator[np.ndarray], live: bool, argument: str) -> Blocks:
    """With the first block taken, unless one would have to wait for it."""
    try:
        first = [] if live else [next(source)]
    except StopIteration:
        out.close()
        raise fail(OP, argument, "at least one sample at 16 kHz", f"{out.title}, which is shorter") from None
    except BaseException:
        out.close()
        raise
    out._source = _chain(first, source)
    return out


def _chain(first: list[np.ndarray], rest: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield from first
    first.clear()
    yield from rest


def _cut(parts: Iterator[np.ndarray], size: int, *, whole: bool) -> Iterator[np.ndarray]:
    """Pieces of any length to blocks of ``size``; not ``whole``: of what is there, at most that."""
    held: list[np.ndarray] = []
    count = 0
    for part in parts:
        if not len(part):
            continue
        held.append(part)
        count += len(part)
        if count >= size or not whole:
            joined = np.concatenate(held) if len(held) > 1 else held[0]
            end = count // size * size if whole else count
            for start in range(0, end, size):
                yield joined[start : min(start + size, end)]
            held, count = [joined[end:]], count - end
    if count:
        yield np.concatenate(held)


def _raw(file: IO[bytes], size: int, out: Blocks) -> Iterator[np.ndarray]:
    read = getattr(file, "read1", file.read)
    rest = b""
    while data := read(2 * size - len(rest)):
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        if whole:
            yield np.frombuffer(data[:whole], "<i2").astype(np.float32) / INT16
    if rest:
        out.complete = False
        out.tell("ends with half a sample: an odd number of bytes; that byte is left out")
