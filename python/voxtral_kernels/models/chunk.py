"""How much audio a stream takes at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from .. import _check

# Tokens of audio processed at once at most: bounds the memory of a large feed.
PIECE = 128
TOKEN_MS = 80
CHUNKS_MS = (80, 160, 240)
_ANY_CHUNK = 6  # tokens that are whole chunks of every length
# Tokens of the beginning that an exact stream takes at once: few enough that kernels of few rows serve them.
START = 3


def chunk_tokens(op: str, argument: str, chunk_ms: object) -> int:
    """Tokens of a chunk of audio.

    Raises:
        ValueError: ``[op] argument``: none of `CHUNKS_MS`.
    """
    if isinstance(chunk_ms, bool) or chunk_ms not in CHUNKS_MS:
        raise _check.fail(op, argument, "80, 160 or 240 (ms of audio taken at once)", _check.shown(chunk_ms))
    return int(cast(int, chunk_ms)) // TOKEN_MS


def pieces(chunk: int, first: int, *, exact: bool) -> Iterator[int]:
    """Tokens of audio to process at once, at most, one piece after the other.

    Args:
        chunk: Of `chunk_tokens`.
        first: Tokens of audio that are ready from the start. An exact stream takes them alike for any chunk.
        exact: Pieces are chunks.
    """
    if exact:
        for _ in range(first // _ANY_CHUNK * (_ANY_CHUNK // START)):
            yield START
    while True:
        yield chunk if exact else PIECE - PIECE % chunk
