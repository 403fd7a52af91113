"""Generation: a prompt's embeddings to tokens, until the end of sequence or a limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import mlx.core as mx

from ..passes import verified
from ..sampling import Sampler
from .decoder import Decoder
from .lookup import Lookup

# Positions of a prompt that are computed at once: bounds the memory of a long one.
PREFILL = 512
END, LIMIT = "eos", "max_tokens"


@dataclass(frozen=True)
class Step:
    """One generated token; ``stop`` says why it is the last one: ``"eos"`` (it is that id) or ``"max_tokens"``."""

    token: int
    stop: str | None = None


def generate(
    decoder: Decoder,
    prompt: mx.array,
    sample: Sampler,
    *,
    end: int,
    max_tokens: int,
    cache_bits: int = 16,
    lookup: Lookup | None = None,
) -> Iterator[Step]:
    """Tokens behind a prompt.

    Args:
        decoder: The decoder.
        prompt: Embeddings ``[1, L, D]``, L >= 1.
        sample: From `sampling.sampler`.
        end: Id that ends the sequence.
        max_tokens: Most tokens to generate, >= 1.
        cache_bits: Of the keys and values held: 16 (the model's dtype) or 8.
        lookup: What proposes tokens, where ``sample`` takes the likeliest; None: nothing does.

    Yields:
        Each step as soon as its token is known; the last one has ``stop``.
    """
    for made, token in enumerate(_tokens(decoder, prompt, sample, max_tokens, cache_bits, lookup), start=1):
        stop = END if token == end else LIMIT if made == max_tokens else None
        yield Step(token, stop)
        if stop:
            return


def _tokens(
    decoder: Decoder, prompt: mx.array, sample: Sampler, max_tokens: int, cache_bits: int, lookup: Lookup | None
) -> Iterator[int]:
    caches = decoder.new_caches(bits=cache_bits, lazy=True)
    for start in range(0, prompt.shape[1], PREFILL):
        hidden = decoder(prompt[:, start : start + PREFILL], caches)
        mx.eval(hidden, [c.state for c in caches])

    def said(ids: mx.array) -> mx.array:
        return decoder.likeliest(decoder(decoder.embed(ids), caches))

    def step(hidden: mx.array) -> mx.array:
        following = sample(decoder.logits(hidden[:, -1:])[0, -1])
        mx.async_eval(following)
        if lookup is not None:
            lookup.note(1)
        return following

    token: mx.array | None = step(hidden)
    left = max_tokens
    while token is not None:
        left -= 1
        # The next step is under way before this one's token is read.
        following = step(decoder(decoder.embed(token.reshape(1, 1)), caches)) if left else None
        value = cast(int, token.item())
        yield value
        draft = [] if lookup is None else lookup.push(value)
        # The first token of a draft is being computed: the others are verified where it is right.
        if lookup is not None and following is not None and left > 1 and len(draft) > 1:
            first, rest = cast(int, following.item()), draft[1 : left - 1]
            if first == draft[0]:
                yield first
                lookup.push(first)
                more = verified(said, caches, [first, *rest])
                lookup.note(len(more), len(rest))
                for value in more[:-1]:
                    yield value
                    lookup.push(value)
                left -= len(more)
                following = mx.array(more[-1])
        token = following
