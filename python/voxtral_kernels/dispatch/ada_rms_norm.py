"""Launches ``kernels/ada_rms_norm.metal``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx

from .. import _check
from ..backends.source import Factory, floats, ints, kernel
from ..reference.ada_rms_norm import AdaRmsNorm
from ._canary import normal

FILE = "ada_rms_norm.metal"
MAX_THREADS = 1024
MAX_PIECES = 2
VARIANTS = ("registers", "looped")
INPUTS = ("x", "weight", "scale")


def width(x: mx.array) -> int:
    """Elements a thread takes at once: 8 bytes, so that a simdgroup takes two whole 128-byte segments."""
    return 8 // x.dtype.size


def pieces(x: mx.array) -> int:
    """Such pieces that a thread keeps in registers."""
    return 1 if x.shape[-1] <= MAX_THREADS * width(x) else MAX_PIECES


def unsupported(r: AdaRmsNorm) -> list[str]:
    """Sentences that say why the kernel cannot serve the request; empty when it can."""
    return []


def variant(r: AdaRmsNorm) -> tuple[str, str]:
    """``registers``, ``looped`` or ``empty``, and why."""
    if r.x.size == 0:
        return "empty", "There are no rows; nothing is launched."
    dim, fits = r.x.shape[-1], MAX_THREADS * MAX_PIECES * width(r.x)
    if dim <= fits:
        return "registers", f"A row of {dim} fits the registers of one threadgroup ({fits} elements)."
    return "looped", f"A row of {dim} is longer than {fits} elements: the rest is read twice."


def cpu_variant(r: AdaRmsNorm, lanes: int) -> tuple[str, str]:
    """What the extension does on a CPU with vectors of ``lanes`` floats, and why."""
    return "looped", "A thread takes whole rows and loops over each."


def template(r: AdaRmsNorm) -> list[tuple[str, Any]]:
    """The template arguments: dtypes, sizes and options; nothing that changes as a stream moves."""
    return [
        ("T", r.x.dtype),
        ("U", r.x.dtype if r.scale is None else r.scale.dtype),
        ("V", width(r.x)),
        ("PIECES", pieces(r.x)),
        ("LOOPED", variant(r)[0] == "looped"),
        ("HAS_WEIGHT", r.weight is not None),
        ("HAS_SCALE", r.scale is not None),
    ]


def canary(r: AdaRmsNorm) -> AdaRmsNorm:
    """A small request with the same template arguments: three rows, a ragged end."""
    kept = MAX_THREADS * width(r.x)
    dim = MAX_PIECES * kept + 33 if variant(r)[0] == "looped" else (pieces(r.x) - 1) * kept + 331
    x, residual = (normal(seed, (3, dim), r.x.dtype) for seed in (0, 1))
    weight = None if r.weight is None else normal(2, (dim,), r.x.dtype)
    scale = None if r.scale is None else normal(3, (3, dim), r.scale.dtype)
    return AdaRmsNorm(x, weight, scale, 1e-5, None if r.residual is None else residual)


def prepare(r: AdaRmsNorm, factory: Factory, stream: mx.Stream | mx.Device | None) -> Callable[..., Any]:
    """`launch` for every request of this form, by the request's fields."""
    if r.x.size == 0:
        return lambda x, weight, scale, eps, residual: x if residual is None else (x, x)
    dim = r.x.shape[-1]
    rows = r.x.size // dim
    info = ints(dim, rows // r.scale.shape[0] if r.scale is not None and r.scale.ndim == 2 else rows)
    pair = r.residual is not None
    names, outputs = (*INPUTS, "residual") if pair else INPUTS, ("y", "h") if pair else ("y",)
    body = "ada_rms_norm_residual" if pair else "ada_rms_norm"
    run = kernel(factory, FILE, body, (*names, "row_info", "eps"), outputs)
    threads = min(MAX_THREADS, 32 * -(-dim // (32 * width(r.x) * pieces(r.x))))
    fixed = {
        "template": template(r),
        "grid": (threads, rows, 1),
        "threadgroup": (threads, 1, 1),
        "output_shapes": [r.x.shape] * len(outputs),
        "output_dtypes": [r.x.dtype] * len(outputs),
        "stream": stream,
    }

    def norm(x: mx.array, weight: mx.array | None, scale: mx.array | None, eps: float, residual: Any) -> Any:
        if weight is not None and weight.dtype != x.dtype:
            raise _check.fail("ada_rms_norm", "weight", _check.dtype_name(x.dtype), _check.dtype_name(weight.dtype))
        # An operand that is absent is not read: x stands in its place.
        inputs = [x, x if weight is None else weight, x if scale is None else scale]
        if pair:
            return run(inputs=[*inputs, residual, info, floats(eps)], **fixed)
        return run(inputs=[*inputs, info, floats(eps)], **fixed)[0]

    return norm


def launch(r: AdaRmsNorm, factory: Factory, stream: mx.Stream | mx.Device | None) -> mx.array | tuple[mx.array, ...]:
    """``y``, or ``(y, h)`` where the request has a residual."""
    # Where x stands for an operand that is absent too, MLX would copy it for each.
    x = mx.contiguous(r.x, stream=stream) if r.weight is None or r.scale is None else r.x
    result = prepare(r, factory, stream)(x, r.weight, r.scale, r.eps, r.residual)
    return result if r.residual is None else tuple(result)
