"""The ``metal`` backend: the shaders by `mx.fast.metal_kernel`."""

from __future__ import annotations

import functools
import os
from typing import Any

import mlx.core as mx

from . import source
from .select import UnavailableError
from .shaders import Kernels
from .source import Factory

# Metal's own variable, without which nothing can be captured.
CAPTURE = "MTL_CAPTURE_ENABLED"


@functools.cache
def short(factory: Factory) -> Factory:
    """The factory, handed short names; those of the files where a capture may show them."""

    def make(*, name: str, **description: Any) -> Any:
        if os.environ.get(CAPTURE, "0") == "0":
            description["header"], description["source"] = source.shortened(name.removeprefix(source.PREFIX))
        return factory(name=name, **description)

    return make


def backend(op: str) -> Kernels:
    """The ``metal`` backend's implementation of ``op``.

    Raises:
        UnavailableError: this MLX has no Metal, or the op has no shader yet.
    """
    if not mx.metal.is_available():
        raise UnavailableError("this machine has no Metal device.")
    return Kernels(op, short(mx.fast.metal_kernel), "metal", checked=True)
