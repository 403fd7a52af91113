"""The ``metal`` backend: the shaders by `mx.fast.metal_kernel`."""

from __future__ import annotations

import mlx.core as mx

from .select import UnavailableError
from .shaders import Kernels


def backend(op: str) -> Kernels:
    """The ``metal`` backend's implementation of ``op``.

    Raises:
        UnavailableError: this MLX has no Metal, or the op has no shader yet.
    """
    if not mx.metal.is_available():
        raise UnavailableError("this machine has no Metal device.")
    return Kernels(op, mx.fast.metal_kernel, "metal", checked=True)
