"""Groups of elementwise ops as one launch."""

from __future__ import annotations

import functools
from collections.abc import Callable

import mlx.core as mx

from ..backends.select import device_type


def fused(function: Callable[..., mx.array]) -> Callable[..., mx.array]:
    """One launch for a group of elementwise ops: ``mx.compile`` on a GPU. A CPU's would need a compiler at run time."""
    compiled = mx.compile(function, shapeless=True)

    @functools.wraps(function)
    def call(*arrays: mx.array) -> mx.array:
        on_gpu = device_type(None) == mx.gpu
        return (compiled if on_gpu else function)(*arrays)

    return call
