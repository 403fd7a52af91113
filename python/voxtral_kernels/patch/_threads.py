"""Hosts whose objects are called from one thread after the other: what they keep is computed before a call returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from .._exclusive import Exclusive
from ..caches import KVCache, evaluate


def settled(method: Callable[..., Any], owner: Any, names: Sequence[str], inside: Exclusive) -> Callable[..., Any]:
    """A method of a host's object, one call at a time, that leaves none of the owner's attributes uncomputed.

    Args:
        method: Bound to its object.
        owner: The object that keeps the state.
        names: The attributes that hold it: arrays, caches, or objects, lists and dicts of them.
        inside: Shared by the methods of one object.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        with inside:
            try:
                return method(*args, **kwargs)
            finally:
                found = [x for name in names for x in _found(getattr(owner, name, None))]
                evaluate([x for x in found if isinstance(x, KVCache)], [x for x in found if isinstance(x, mx.array)])

    return call


def _found(value: Any) -> Iterator[mx.array | KVCache]:
    """The arrays and caches of ours that a host's value holds; a model's own arrays are computed."""
    if isinstance(value, mx.array | KVCache):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _found(item)
    elif isinstance(value, dict) and not isinstance(value, nn.Module):
        yield from _found(list(value.values()))
    elif hasattr(value, "__dict__") and not isinstance(value, nn.Module | type) and not callable(value):
        yield from _found(list(vars(value).values()))
