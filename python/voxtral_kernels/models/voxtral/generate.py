"""Generation: a prompt's embeddings to tokens, until the end of sequence or a limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import mlx.core as mx

from ..sampling import Sampler
from .decoder import Decoder

# Positions of a prompt that are computed at once: bounds the memory of a long one.
PREFILL = 512
END, LIMIT = "eos", "max_tokens"


@dataclass(frozen=True)
class Step:
    """One generated token; ``stop`` says why it is the last one: ``"eos"`` (it is that id) or ``"max_tokens"``."""

    token: int
    stop: str | None = None


def generate(
    decoder: Decoder, prompt: mx.array, sample: Sampler, *, end: int, max_tokens: int, cache_bits: int = 16
) -> Iterator[Step]:
    """Tokens behind a prompt.

    Args:
        decoder: The decoder.
        prompt: Embeddings ``[1, L, D]``, L >= 1.
        sample: From `sampling.sampler`.
        end: Id that ends the sequence.
        max_tokens: Most tokens to generate, >= 1.
        cache_bits: Of the keys and values held: 16 (the model's dtype) or 8.

    Yields:
        Each step as soon as its token is known; the last one has ``stop``.
    """
    caches = decoder.new_caches(bits=cache_bits, lazy=True)
    for start in range(0, prompt.shape[1], PREFILL):
        hidden = decoder(prompt[:, start : start + PREFILL], caches)
        mx.eval(hidden, [c.state for c in caches])
    token: mx.array | None = sample(decoder.logits(hidden[:, -1:])[0, -1])
    mx.async_eval(token)
    made = 0
    while token is not None:
        made += 1
        following = None
        if made < max_tokens:
            # The next step is under way before this one's token is read.
            hidden = decoder(decoder.embed(token.reshape(1, 1)), caches)
            following = sample(decoder.logits(hidden)[0, -1])
            mx.async_eval(following)
        value = cast(int, token.item())
        if value == end:
            yield Step(value, END)
            return
        yield Step(value, None if following is not None else LIMIT)
        token = following
