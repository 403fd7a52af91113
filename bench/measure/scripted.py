"""A decoder that says given tokens, with or without drafts; what it computes is computed as ever."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import mlx.core as mx


@contextlib.contextmanager
def scripted(decoder: Any, token: Callable[[int], int], weight: float = 0.0) -> Iterator[None]:
    """Inside ``with``, the token behind the n-th position of a new stream is ``token(n)``.

    Args:
        decoder: The decoder of a model.
        token: Of a position, from the start of the stream.
        weight: How much its own logits count; 0 leaves their computation out too.
    """
    caches: list[Any] = []

    def new_caches(*args: Any, **kwargs: Any) -> list[Any]:
        caches[:] = type(decoder).new_caches(decoder, *args, **kwargs)
        return list(caches)

    def logits(hidden: mx.array) -> mx.array:
        end, rows = caches[0].offset - caches[0]._start, hidden.shape[1]
        ids = mx.array([[token(n)] for n in range(end - rows, end)])
        size = decoder.config.vocab_size
        said = (mx.arange(size) == ids).astype(mx.float32)[None]
        return said + weight * type(decoder).logits(decoder, hidden) if weight else said + hidden[..., :1] * 0

    decoder.new_caches, decoder.logits = new_caches, logits
    try:
        yield
    finally:
        del decoder.new_caches, decoder.logits
