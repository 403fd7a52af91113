"""Detects ``mx.compile``, ``mx.grad`` and ``mx.vmap``, inside which a cache must not change."""

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
