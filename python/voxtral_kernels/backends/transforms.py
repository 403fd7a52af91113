"""What MLX tells C++ alone: ``mx.compile``, ``mx.grad`` and ``mx.vmap``, and arrays that were changed in place."""

from __future__ import annotations

import functools
from collections.abc import Callable

import mlx.core as mx

from .. import _check
from . import select
from .extension import extension


def in_transformation(*arrays: mx.array) -> bool:
    """Whether any array is a placeholder of a function transformation.

    MLX tells C++; without the extension `_check.is_traced` finds out.
    """
    return any(map(_is_tracer(select.changes()), arrays))


@functools.lru_cache(maxsize=1)
def _is_tracer(changes: int) -> Callable[[mx.array], bool]:
    """Asked anew when the extension may be another: looking for one that is not there takes long."""
    try:
        found: Callable[[mx.array], bool] = extension().is_tracer
    except select.UnavailableError:
        return _check.is_traced
    return found


def same_content(arrays: list[mx.array], others: list[mx.array]) -> bool:
    """Whether each array still holds what the other one was made of: ``a += b`` and ``a[0] = b`` leave the object.

    Without the extension nobody can tell: True.
    """
    return _same(select.changes())(arrays, others)


@functools.lru_cache(maxsize=1)
def _same(changes: int) -> Callable[[list[mx.array], list[mx.array]], bool]:
    try:
        found: Callable[[list[mx.array], list[mx.array]], bool] = extension().same_content
    except select.UnavailableError:
        return lambda arrays, others: True
    return found
