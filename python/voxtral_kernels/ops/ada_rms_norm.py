"""Adaptive RMSNorm, the public op."""

from __future__ import annotations

from typing import cast, overload

import mlx.core as mx

from .. import _check
from ..backends import select
from ..reference.ada_rms_norm import AdaRmsNorm

OP = "ada_rms_norm"


@overload
def ada_rms_norm(
    x: mx.array,
    weight: mx.array | None = None,
    scale: mx.array | None = None,
    *,
    eps: float = 1e-5,
    residual: None = None,
    stream: mx.Stream | mx.Device | None = None,
) -> mx.array: ...


@overload
def ada_rms_norm(
    x: mx.array,
    weight: mx.array | None = None,
    scale: mx.array | None = None,
    *,
    eps: float = 1e-5,
    residual: mx.array,
    stream: mx.Stream | mx.Device | None = None,
) -> tuple[mx.array, mx.array]: ...


def ada_rms_norm(
    x: mx.array,
    weight: mx.array | None = None,
    scale: mx.array | None = None,
    *,
    eps: float = 1e-5,
    residual: mx.array | None = None,
    stream: mx.Stream | mx.Device | None = None,
) -> mx.array | tuple[mx.array, mx.array]:
    """Adaptive RMSNorm: ``x * rsqrt(mean(x**2) + eps) * weight * (1 + scale)``.

    Args:
        x: Hidden states, ``[..., D]``, float32, float16 or bfloat16.
        weight: Gain, ``[D]``, dtype of ``x``; None for no gain.
        scale: Conditioning, ``[D]`` or one row per batch ``[B, D]`` with ``B = x.shape[0]``, dtype of ``x`` or
            float32; None for plain RMSNorm.
        eps: Added to the mean square, >= 0.
        residual: Added to ``x`` first, shape and dtype of ``x``.
        stream: Stream or device to run on; None for MLX's default.

    Returns:
        ``y`` ``[..., D]``, dtype of ``x``; with ``residual`` the pair ``(y, h)`` where ``h = x + residual`` is rounded
        to the dtype of ``x`` and ``y`` is computed from the rounded ``h``. Computed in float32, rounded once.

    Raises:
        ValueError: a shape or dtype differs from the above.

    Source: RMSNorm, Zhang & Sennrich 2019; Voxtral Realtime ``ada_rms_norm_t_cond``. Defined in
    ``reference/ada_rms_norm.py``.
    """
    y = select.run(OP, request(x, weight, scale, eps=eps, residual=residual), stream)
    return cast("mx.array | tuple[mx.array, mx.array]", y)


def request(
    x: mx.array,
    weight: mx.array | None = None,
    scale: mx.array | None = None,
    *,
    eps: float = 1e-5,
    residual: mx.array | None = None,
) -> AdaRmsNorm:
    """The checked call."""
    _check.floating(OP, x=x)
    if x.ndim < 1 or x.shape[-1] < 1:
        raise _check.fail(OP, "x", "[..., D] with D >= 1", f"shape {x.shape}")
    if weight is not None:
        _check.floating(OP, weight=weight)
        _check.shape(OP, "weight", weight, x.shape[-1:])
        _check.dtype(OP, "weight", weight, x.dtype)
    if scale is not None:
        _check.floating(OP, scale=scale)
        batched = x.ndim >= 2 and scale.ndim == 2
        _check.shape(OP, "scale", scale, (x.shape[0], x.shape[-1]) if batched else x.shape[-1:])
        _check.dtype(OP, "scale", scale, x.dtype, mx.float32)
    if residual is not None:
        _check.floating(OP, residual=residual)
        _check.shape(OP, "residual", residual, x.shape)
        _check.dtype(OP, "residual", residual, x.dtype)
    return AdaRmsNorm(x, weight, scale, _check.positive(OP, "eps", eps, or_zero=True), residual)


# Public name -> its checked call, for `explain`.
REQUESTS = {"ada_rms_norm": request}
