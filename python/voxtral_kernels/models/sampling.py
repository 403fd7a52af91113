"""Picks the next token from logits: the likeliest, or at random by temperature and top-p."""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx

from .. import _check

Sampler = Callable[[mx.array], mx.array]


def sampler(temperature: float = 0.0, top_p: float = 1.0, seed: int | None = None, *, op: str = "sampler") -> Sampler:
    """A function from logits ``[V]`` to an id (an array without axes).

    Args:
        temperature: Divides the logits; 0 takes the likeliest id.
        top_p: Only the likeliest ids whose probabilities together reach this share are drawn from; above 0, at most 1.
        seed: The same seed draws the same ids; None takes MLX's global state.
        op: The name that errors bear.

    Raises:
        ValueError: an argument is out of its range.

    Source: nucleus sampling, Holtzman et al. 2019.
    """
    temperature = _check.positive(op, "temperature", temperature, or_zero=True)
    top_p = _check.positive(op, "top_p", top_p)
    if top_p > 1:
        raise _check.fail(op, "top_p", "a number above 0 and at most 1", top_p)
    if temperature == 0:
        return lambda logits: mx.argmax(logits)
    key = None if seed is None else mx.random.key(_check.integer(op, "seed", seed, 0))

    def draw(logits: mx.array) -> mx.array:
        nonlocal key
        now = None
        if key is not None:
            key, now = mx.random.split(key)
        scaled = logits.astype(mx.float32) / temperature
        return mx.random.categorical(nucleus(scaled, top_p), key=now)

    return draw


def nucleus(logits: mx.array, top_p: float) -> mx.array:
    """Logits ``[V]`` with all but the nucleus at minus infinity: the fewest ids whose probabilities reach ``top_p``."""
    if top_p >= 1:
        return logits
    order = mx.argsort(-logits)
    probabilities = mx.softmax(logits[order])
    # An id belongs to it if those before it do not reach the share; the first one always does.
    before = mx.cumsum(probabilities) - probabilities
    inside = mx.zeros(logits.shape, mx.bool_)
    inside[order] = (before < top_p) | (mx.arange(logits.size) == 0)
    return mx.where(inside, logits, -mx.inf)
