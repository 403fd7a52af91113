"""Recordings of any length in pieces, cut where it is quietest, each a prompt of its own: flat memory, rough times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..result import Result

if TYPE_CHECKING:
    from .model import Voxtral

# A piece fills at most one chunk of the encoder; where it may be cut, and the pause that is looked for.
MAX_S, MIN_S, PAUSE_S = 30.0, 15.0, 0.3
# The loudness of a piece is taken in steps; what is this far below its loudest step at either end is no speech.
STEP_S, QUIET = 0.02, 10 ** (-35 / 20)


@dataclass(frozen=True)
class Piece:
    """What was transcribed at once.

    Attributes:
        result: Its text, tokens, and why they end.
        start_s, end_s: Its speech, in seconds from the start of the recording.
    """

    result: Result
    start_s: float
    end_s: float


def transcribe_pieces(
    model: Voxtral,
    blocks: Iterable[np.ndarray],
    *,
    language: str | None = None,
    max_tokens: int | None = None,
    cache_bits: int = 16,
    drafts: bool | None = None,
    on_piece: Callable[[float, float], None] | None = None,
    on_text: Callable[[str], None] | None = None,
) -> Iterator[Piece]:
    """Transcribe a recording piece by piece.

    Args:
        model: The model.
        blocks: The samples ``[T]`` at the model's rate, in blocks of any length.
        language: As for ``model.transcribe``.
        max_tokens: Most tokens of the whole text; None for as many as speech can need.
        cache_bits, drafts: As for ``model.transcribe``.
        on_piece: Called with the start and end of each piece, in seconds, before it is transcribed.
        on_text: Called with each new piece of text.

    Yields:
        Each piece when it is done.

    Raises:
        ValueError: as ``model.transcribe``. An error of ``blocks``, after the samples before it.
    """
    rate, left, at = model.config.sample_rate, max_tokens, 0
    for samples in cut(blocks, rate):
        start_s, end_s = at / rate, (at + len(samples)) / rate
        if on_piece is not None:
            on_piece(start_s, end_s)
        options: Any = {"language": language, "max_tokens": left, "cache_bits": cache_bits, "drafts": drafts}
        result = model.transcribe(samples, on_text=on_text, **options)
        first, last = speech(samples, rate)
        yield Piece(result, start_s + first / rate, start_s + last / rate)
        at += len(samples)
        if left is not None:
            left -= len(result.tokens)
            if left <= 0:
                return


def cut(blocks: Iterable[np.ndarray], rate: int) -> Iterator[np.ndarray]:
    """The samples in pieces of at most `MAX_S`, cut in the quietest pause of `PAUSE_S` or more from `MIN_S` on.

    An error of ``blocks`` comes after the samples before it.
    """
    longest = round(MAX_S * rate)
    held: list[np.ndarray] = []
    error: Exception | None = None
    source = iter(blocks)
    while error is None:
        try:
            block = next(source, None)
        except Exception as failure:
            error = failure
            break
        if block is None:
            break
        held.append(block)
        while sum(map(len, held)) > longest:
            samples = np.concatenate(held)
            at = _quietest(samples[:longest], rate)
            yield samples[:at]
            held = [samples[at:]]
    if held and len(rest := np.concatenate(held)):
        yield rest
    if error is not None:
        raise error


def speech(samples: np.ndarray, rate: int) -> tuple[int, int]:
    """The samples ``[start, end)`` between the quiet at both ends; all of them if all are as quiet."""
    loud = np.flatnonzero((level := _levels(samples, rate)) > QUIET * level.max(initial=0.0))
    step = round(STEP_S * rate)
    return (int(loud[0]) * step, min(len(samples), int(loud[-1] + 1) * step)) if len(loud) else (0, len(samples))


def _quietest(samples: np.ndarray, rate: int) -> int:
    """Where to cut: the middle of the last pause that is nearly (6 dB) as quiet as the quietest."""
    first, width = round(MIN_S / STEP_S), round(PAUSE_S / STEP_S)
    energy = np.convolve(_levels(samples, rate)[first:] ** 2, np.ones(width), "valid")
    quiet = np.flatnonzero(energy <= 4 * energy.min())
    pause = np.split(quiet, np.flatnonzero(np.diff(quiet) > 1) + 1)[-1]
    return int((first + (pause[0] + pause[-1] + width) / 2) * STEP_S * rate)


def _levels(samples: np.ndarray, rate: int) -> np.ndarray:
    """Root mean square of each step ``[ceil(T / step)]``, float64."""
    step = round(STEP_S * rate)
    padded = np.pad(samples.astype(np.float64), (0, -len(samples) % step))
    return np.sqrt(np.mean(padded.reshape(-1, step) ** 2, axis=1))
