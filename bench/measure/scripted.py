"""A decoder that says given tokens, with or without drafts; what it computes is computed as ever."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import mlx.core as mx

# Of an id that is to be the likeliest, and of one that is to be the likeliest text.
_MOST, _SECOND = 1.0, 0.5


class Astray(NamedTuple):
    """What is said at a position behind a wrong token.

    Attributes:
        said: The likeliest token.
        text: The likeliest text.
    """

    said: int
    text: int


@contextlib.contextmanager
def scripted(
    decoder: Any, token: Callable[[int], int], weight: float = 0.0, astray: Callable[[int], Astray] | None = None
) -> Iterator[None]:
    """Inside ``with``, the token behind the n-th position of a new stream is ``token(n)``.

    Args:
        decoder: The decoder of a model.
        token: Of a position, from the start of the stream.
        weight: How much its own logits count; 0 leaves their computation out too.
        astray: What it says where a draft was wrong before that position; None: the same.
    """
    caches, heard = list[Any](), list[mx.array]()

    def new_caches(*args: Any, **kwargs: Any) -> list[Any]:
        caches[:] = type(decoder).new_caches(decoder, *args, **kwargs)
        return list(caches)

    def embed(ids: mx.array) -> mx.array:
        heard[:] = [ids]
        embedded: mx.array = type(decoder).embed(decoder, ids)
        return embedded

    def logits(hidden: mx.array) -> mx.array:
        rows, end = hidden.shape[1], caches[0].offset - caches[0]._start
        at = range(end - rows, end)
        size, ids = decoder.config.vocab_size, [token(n) for n in at]
        said = _likeliest(ids, size, _MOST)
        if astray is not None and rows > 1 and heard[0].shape[1] == rows:
            others = [astray(n) for n in at]
            wrong = mx.cumsum(heard[0][0, 1:] != mx.array(ids[:-1], heard[0].dtype)) > 0
            wrong = mx.concatenate([mx.zeros((1,), mx.bool_), wrong])[:, None]
            behind = _likeliest([a.said for a in others], size, _MOST) + _likeliest(
                [a.text for a in others], size, _SECOND
            )
            said = mx.where(wrong, behind, said)
        said = said[None]
        return said + weight * type(decoder).logits(decoder, hidden) if weight else said + hidden[..., :1] * 0

    decoder.new_caches, decoder.embed, decoder.logits = new_caches, embed, logits
    try:
        yield
    finally:
        del decoder.new_caches, decoder.embed, decoder.logits


def _likeliest(ids: list[int], size: int, value: float) -> mx.array:
    """Logits ``[rows, size]``."""
    return (mx.arange(size) == mx.array(ids)[:, None]).astype(mx.float32) * value
