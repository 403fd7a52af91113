"""Scale and shift, the public op."""

from __future__ import annotations

import mlx.core as mx

from .. import _check
from ..backends import select
from ..reference.scale_shift import ScaleShift

OP = "scale_shift"


def scale_shift(
    x: mx.array, scale: mx.array, shift: mx.array, *, stream: mx.Stream | mx.Device | None = None
) -> mx.array:
    """``x * scale + shift``.

    Args:
        x: ``[..., D]``, float32, float16 or bfloat16.
        scale: ``[D]``, dtype of ``x``.
        shift: ``[D]``, dtype of ``x``.
        stream: Stream or device to run on; None for MLX's default.

    Returns:
        ``[..., D]``, dtype of ``x``. Computed in float32, rounded once.

    Raises:
        ValueError: a shape or dtype differs from the above.

    Source: a worked example. Defined in ``reference/scale_shift.py``.
    """
    result: mx.array = select.run(OP, request(x, scale, shift), stream)
    return result


def request(x: mx.array, scale: mx.array, shift: mx.array) -> ScaleShift:
    """The checked call."""
    _check.floating(OP, x=x, scale=scale, shift=shift)
    if x.ndim < 1 or x.shape[-1] < 1:
        raise _check.fail(OP, "x", "[..., D] with D >= 1", f"shape {x.shape}")
    for name, a in (("scale", scale), ("shift", shift)):
        _check.shape(OP, name, a, x.shape[-1:])
        _check.dtype(OP, name, a, x.dtype)
    return ScaleShift(x, scale, shift)


# Public name -> its checked call, for `explain`.
REQUESTS = {"scale_shift": request}
