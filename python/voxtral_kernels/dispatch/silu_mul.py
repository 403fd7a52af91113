"""Launches ``kernels/silu_mul.metal``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx

from ..backends.source import Factory, ints, kernel
from ..reference.silu_mul import SiluMul
from ._canary import normal

FILE = "silu_mul.metal"
MAX_THREADS = 256
VARIANTS = ("product",)


def width(x: mx.array) -> int:
    """Elements a thread takes at once: 8 bytes."""
    return 8 // x.dtype.size


def unsupported(r: SiluMul) -> list[str]:
    """Sentences that say why the kernel cannot serve the request; empty when it can."""
    return []


def variant(r: SiluMul) -> tuple[str, str]:
    """``product`` or ``empty``, and why."""
    if r.x.size == 0:
        return "empty", "There are no rows; nothing is launched."
    return "product", "One launch takes gates and factors out of one packed row."


def cpu_variant(r: SiluMul, lanes: int) -> tuple[str, str]:
    """What the extension does on a CPU with vectors of ``lanes`` floats, and why."""
    return "product", "A thread takes whole rows."


def template(r: SiluMul) -> list[tuple[str, Any]]:
    """The template arguments: dtypes and sizes; nothing that changes as a stream moves."""
    return [("T", r.x.dtype), ("V", width(r.x))]


def canary(r: SiluMul) -> SiluMul:
    """A small request with the same template arguments: two rows, a ragged end."""
    return SiluMul(normal(0, (2, 2 * 37), r.x.dtype, 4.0))


def prepare(r: SiluMul, factory: Factory, stream: mx.Stream | mx.Device | None) -> Callable[..., mx.array]:
    """`launch` for every request of this form, by the request's fields."""
    shape = (*r.x.shape[:-1], r.x.shape[-1] // 2)
    if r.x.size == 0:
        return lambda x: mx.zeros(shape, x.dtype)
    rows, dim = r.x.size // r.x.shape[-1], shape[-1]
    pieces = -(-dim // width(r.x))
    run = kernel(factory, FILE, "silu_mul", ("x", "sizes"), ("y",))
    sizes = ints(rows, dim)
    fixed = {
        "template": template(r),
        "grid": (pieces, rows, 1),
        "threadgroup": (min(MAX_THREADS, pieces), 1, 1),
        "output_shapes": [shape],
        "output_dtypes": [r.x.dtype],
        "stream": stream,
    }

    def product(x: mx.array) -> mx.array:
        y: mx.array = run(inputs=[x, sizes], **fixed)[0]
        return y

    return product


def launch(r: SiluMul, factory: Factory, stream: mx.Stream | mx.Device | None) -> mx.array:
    """``[..., H]``."""
    return prepare(r, factory, stream)(r.x)
