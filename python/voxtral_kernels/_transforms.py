"""Detects ``mx.compile``, ``mx.grad`` and ``mx.vmap``, inside which a cache must not change."""

from __future__ import annotations

import mlx.core as mx


def in_transformation(*arrays: mx.array) -> bool:
    """Whether any array is a placeholder of a function transformation.

    MLX tells Python so only by refusing to schedule it, hence the ``async_eval``: it never waits, and for an array
    that is about to be used it only starts the work sooner.
    """
    try:
        mx.async_eval(*arrays)
    except ValueError as error:
        if "transformation" in str(error):
            return True
        raise
    return False
