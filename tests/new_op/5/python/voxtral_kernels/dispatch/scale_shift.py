"""Launches ``kernels/scale_shift.metal``."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from ..backends.source import Factory, kernel
from ..reference.scale_shift import ScaleShift
from ._canary import normal

FILE = "scale_shift.metal"
VARIANTS = ("elementwise",)
MAX_THREADS = 256


def unsupported(r: ScaleShift) -> list[str]:
    """Sentences that say why the kernel cannot serve the request; empty when it can."""
    return []


def variant(r: ScaleShift) -> tuple[str, str]:
    """There is one."""
    return ("elementwise" if r.x.size else "empty"), "A thread takes an element."


def template(r: ScaleShift) -> list[tuple[str, Any]]:
    """The template arguments."""
    return [("T", r.x.dtype)]


def canary(r: ScaleShift) -> ScaleShift:
    """A small request with the same template arguments."""
    return ScaleShift(*(normal(seed, shape, r.x.dtype) for seed, shape in enumerate([(3, 331), (331,), (331,)])))


def launch(r: ScaleShift, factory: Factory, stream: mx.Stream | mx.Device | None) -> mx.array:
    """``y``."""
    if r.x.size == 0:
        return r.x
    dim = r.x.shape[-1]
    x = r.x.reshape(-1, dim)
    (y,) = kernel(factory, FILE, "scale_shift", ("x", "scale", "shift"), ("y",))(
        inputs=[x, r.scale, r.shift],
        template=template(r),
        grid=(dim, x.shape[0], 1),
        threadgroup=(min(dim, MAX_THREADS), 1, 1),
        output_shapes=[x.shape],
        output_dtypes=[x.dtype],
        stream=stream,
    )
    return y.reshape(r.x.shape)
