"""Detects ``mx.compile``, ``mx.grad`` and ``mx.vmap``, inside which a cache must not change."""

from __future__ import annotations

import mlx.core as mx

from . import _native
from ._backends import UnavailableError


def in_transformation(*arrays: mx.array) -> bool:
    """Whether any array is a placeholder of a function transformation.

    MLX tells C++. It tells Python so only by refusing to schedule the array, hence without the extension the
    ``async_eval``: it never waits, and for an array that is about to be used it only starts the work sooner.
    """
    try:
        is_tracer = _native.extension().is_tracer
    except UnavailableError:
        return _refuses_to_schedule(*arrays)
    return any(is_tracer(a) for a in arrays)


def _refuses_to_schedule(*arrays: mx.array) -> bool:
    try:
        mx.async_eval(*arrays)
    except ValueError as error:
        if "transformation" in str(error):
            return True
        raise
    return False
