"""Causal (streaming) and symmetric convolution with bias and exact GELU, the public ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import mlx.core as mx

from .. import _check
from ..backends import planned, select
from ..reference.causal_conv1d_gelu import CausalConv1dGelu

OP = "causal_conv1d_gelu"
SYMMETRIC = "conv1d_gelu"


@overload
def causal_conv1d_gelu(
    x: mx.array,
    weight: mx.array,
    bias: mx.array | None = None,
    *,
    stride: int = 1,
    state: mx.array | None = None,
    gelu: bool = True,
    stream: mx.Stream | mx.Device | None = None,
) -> tuple[mx.array, mx.array]: ...


@overload
def causal_conv1d_gelu(
    x: mx.array,
    weight: mx.array,
    bias: mx.array | None = None,
    *,
    stride: int = 1,
    state: Sequence[mx.array | None],
    gelu: bool = True,
    stream: mx.Stream | mx.Device | None = None,
) -> tuple[mx.array, list[mx.array]]: ...


def causal_conv1d_gelu(
    x: mx.array,
    weight: mx.array,
    bias: mx.array | None = None,
    *,
    stride: int = 1,
    state: mx.array | Sequence[mx.array | None] | None = None,
    gelu: bool = True,
    stream: mx.Stream | mx.Device | None = None,
) -> tuple[mx.array, mx.array | list[mx.array]]:
    """Causal convolution over time: ``y[t] = gelu(bias + sum_k weight[:, k] @ frames[t * stride + k])``.

    ``frames`` are the frames carried by ``state`` followed by ``x``; a stream starts with ``K - stride`` zero frames
    (Voxtral's left padding). Feeding any split of the input gives the same output frames.

    Args:
        x: New frames, ``[B, T, C_in]``, T >= 0, float32, float16 or bfloat16.
        weight: ``[C_out, K, C_in]`` with K >= stride, dtype of ``x``.
        bias: ``[C_out]``, dtype of ``x``; None for none.
        stride: Frames from one output to the next.
        state: What the call before returned, ``[B, S, C_in]``: every frame not yet consumed. None starts a stream. Or
            several streams': a list of B such states, ``[1, S, C_in]`` each or None.
        gelu: False leaves the activation out.
        stream: Stream or device to run on; None for MLX's default.

    Returns:
        ``(y, state)``: ``y`` ``[B, T_out, C_out]`` with ``T_out = floor((S + T - K) / stride) + 1`` or 0, dtype of
        ``x``, accumulated in float32; ``state`` for the next call, a list where one was given.

    Raises:
        ValueError: a shape or dtype differs from the above; a state of another B, C_in or dtype; streams with another
            number of frames in their states.

    Source: Voxtral Realtime's conv stem (left padding K - stride, erf GELU). Defined in
    ``reference/causal_conv1d_gelu.py``.
    """
    r = request(x, weight, bias, stride=stride, state=state, gelu=gelu)
    y = select.run(OP, r, stream)
    after = _unconsumed(r)
    return y, _apart(after) if isinstance(state, (list, tuple)) else after


def conv1d_gelu(
    x: mx.array,
    weight: mx.array,
    bias: mx.array | None = None,
    *,
    stride: int = 1,
    padding: int = 1,
    gelu: bool = True,
    stream: mx.Stream | mx.Device | None = None,
) -> mx.array:
    """Convolution over time with zero padding on both sides, bias and exact GELU: the offline form.

    Args:
        x: ``[B, T, C_in]``, float32, float16 or bfloat16.
        weight: ``[C_out, K, C_in]``, dtype of ``x``.
        bias: ``[C_out]``, dtype of ``x``; None for none.
        stride: Frames from one output to the next.
        padding: Zero frames added on each side.
        gelu: False leaves the activation out.
        stream: Stream or device to run on; None for MLX's default.

    Returns:
        ``[B, T_out, C_out]`` with ``T_out = floor((T + 2 * padding - K) / stride) + 1`` or 0, dtype of ``x``.

    Raises:
        ValueError: a shape or dtype differs from the above.

    Source: Whisper's conv stem (padding 1, strides 1 and 2). Defined in ``reference/causal_conv1d_gelu.py``.
    """
    r = symmetric_request(x, weight, bias, stride=stride, padding=padding, gelu=gelu)
    return select.run(OP, r, stream)


def planned_causal(
    x: mx.array,
    weight: mx.array,
    bias: mx.array | None,
    *,
    stride: int,
    state: mx.array | Sequence[mx.array | None] | None = None,
) -> tuple[mx.array, Any]:
    """`causal_conv1d_gelu` for models: a form that was served is neither checked nor chosen for again."""
    context = _context(x, weight, stride, state)
    form = _form(x), _form(weight), _form(bias), _form(context), stride
    serve = planned.single(OP, form, lambda: request(x, weight, bias, stride=stride, state=context))
    if context is None:
        context = mx.zeros((x.shape[0], weight.shape[1] - stride, x.shape[2]), x.dtype)
    y = serve(x, weight, bias, context, stride, 0, 0, True)
    after = _unconsumed(CausalConv1dGelu(x, weight, bias, context, stride, 0, 0, True))
    return y, _apart(after) if isinstance(state, (list, tuple)) else after


def planned_symmetric(
    x: mx.array, weight: mx.array, bias: mx.array | None, *, stride: int, padding: int, gelu: bool = True
) -> mx.array:
    """`conv1d_gelu` in the same way."""
    form = _form(x), _form(weight), _form(bias), None, stride, padding, gelu
    call = lambda: symmetric_request(x, weight, bias, stride=stride, padding=padding, gelu=gelu)  # noqa: E731
    return planned.single(OP, form, call)(x, weight, bias, None, stride, padding, padding, gelu)


def _form(a: Any) -> Any:
    return None if a is None else (type(a), getattr(a, "shape", None), getattr(a, "dtype", None))


def request(
    x: mx.array,
    weight: mx.array,
    bias: mx.array | None = None,
    *,
    stride: int = 1,
    state: mx.array | Sequence[mx.array | None] | None = None,
    gelu: bool = True,
) -> CausalConv1dGelu:
    """The checked call of the causal form."""
    stride = _check_inputs(OP, x, weight, bias, stride)
    batch, _, c_in = x.shape
    kernel = weight.shape[1]
    if kernel < stride:
        raise _check.fail(OP, "stride", f"at most K = {kernel}", stride)
    context = _context(x, weight, stride, state)
    if context is None:
        context = mx.zeros((batch, kernel - stride, c_in), x.dtype)
    else:
        _check.floating(OP, state=context)
        _check.ndim(OP, "state", context, "[B, S, C_in]")
        _check.shape(OP, "state", context, (batch, context.shape[1], c_in))
        _check.dtype(OP, "state", context, x.dtype)
    return CausalConv1dGelu(x, weight, bias, context, stride, 0, 0, bool(gelu))


def symmetric_request(
    x: mx.array,
    weight: mx.array,
    bias: mx.array | None = None,
    *,
    stride: int = 1,
    padding: int = 1,
    gelu: bool = True,
) -> CausalConv1dGelu:
    """The checked call of the symmetric form."""
    stride = _check_inputs(SYMMETRIC, x, weight, bias, stride)
    padding = _check.integer(SYMMETRIC, "padding", padding, 0)
    r = CausalConv1dGelu(x, weight, bias, None, stride, padding, padding, bool(gelu))
    # MLX's shapes and the shaders' indices are 32 bits wide.
    if max(x.shape[1] + 2 * padding, x.shape[0] * r.n_out * weight.shape[0]) >= 2**31:
        raise _check.fail(SYMMETRIC, "padding", "frames and results fewer than 2**31", padding)
    return r


def _check_inputs(op: str, x: mx.array, weight: mx.array, bias: mx.array | None, stride: int) -> int:
    """Checks what both forms share; returns the stride as an int."""
    _check.floating(op, x=x, weight=weight)
    _check.ndim(op, "x", x, "[B, T, C_in]")
    _check.ndim(op, "weight", weight, "[C_out, K, C_in]")
    if x.shape[0] < 1 or x.shape[2] < 1:
        raise _check.fail(op, "x", "[B, T, C_in] with B and C_in >= 1", f"shape {x.shape}")
    if min(weight.shape) < 1 or weight.shape[2] != x.shape[2]:
        raise _check.fail(op, "weight", f"[C_out, K, {x.shape[2]}]", f"shape {weight.shape}")
    _check.dtype(op, "weight", weight, x.dtype)
    if bias is not None:
        _check.floating(op, bias=bias)
        _check.shape(op, "bias", bias, weight.shape[:1])
        _check.dtype(op, "bias", bias, x.dtype)
    return _check.integer(op, "stride", stride, 1)


def _context(
    x: mx.array, weight: mx.array, stride: int, state: mx.array | Sequence[mx.array | None] | None
) -> mx.array | None:
    """The state of the batch, of several streams' joined."""
    if state is None or isinstance(state, mx.array) or not isinstance(state, (list, tuple)):
        return state  # type: ignore[return-value]
    batch, _, c_in = x.shape
    if len(state) != batch:
        raise _check.fail(OP, "state", f"B = {batch} states, one for each stream", len(state))
    begun = mx.zeros((1, weight.shape[1] - stride, c_in), x.dtype)
    found = [begun if of is None else of for of in state]
    for of in found:
        _check.floating(OP, state=of)
        _check.ndim(OP, "state", of, "[1, S, C_in]")
        _check.shape(OP, "state", of, (1, found[0].shape[1], c_in))
        _check.dtype(OP, "state", of, x.dtype)
    return mx.concatenate(found)


def _apart(state: mx.array) -> list[mx.array]:
    return [state[i : i + 1] for i in range(state.shape[0])]


def _unconsumed(r: CausalConv1dGelu) -> mx.array:
    """The frames that the next call still needs: everything after the last stride taken."""
    consumed = r.n_out * r.stride
    if r.context is None or consumed >= r.n_context:
        # A slice would keep the whole of x alive between calls; the copy is K - 1 frames.
        return mx.contiguous(r.x[:, consumed - r.n_context :])
    return mx.concatenate([r.context[:, consumed:], r.x], axis=1)


# Public name -> its checked call, for `explain`.
REQUESTS = {"causal_conv1d_gelu": request, "conv1d_gelu": symmetric_request}
