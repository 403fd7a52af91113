"""Detects ``mx.compile``, ``mx.grad`` and ``mx.vmap``, inside which a cache must not change."""

from __future__ import annotations

import mlx.core as mx

from .. import _check
from .extension import extension
from .select import UnavailableError


def in_transformation(*arrays: mx.array) -> bool:
    """Whether any array is a placeholder of a function transformation.

    MLX tells C++; without the extension `_check.is_traced` finds out.
    """
    try:
        is_tracer = extension().is_tracer
    except UnavailableError:
        return _check.is_traced(*arrays)
    return any(is_tracer(a) for a in arrays)
