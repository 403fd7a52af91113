"""The hosts' conv stems, served by our convolution ops."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn

from ..ops.causal_conv1d_gelu import planned_causal, planned_symmetric

State = mx.array | None


def causal(
    x: mx.array, first: Any, second: Any, states: tuple[State, State] = (None, None)
) -> tuple[mx.array, tuple[mx.array, mx.array]]:
    """Two causal convolutions, each with exact GELU: the realtime stem.

    Args:
        x: New frames ``[1, T, n_mels]``.
        first, second: The host's convolutions, with ``weight``, ``bias`` and ``stride``.
        states: What the call before returned; None starts a stream.

    Returns:
        Frames ``[1, T_out, D]`` and the states: every frame not yet consumed.
    """
    x, state1 = planned_causal(*_matched(x, first), stride=first.stride, state=states[0])
    x, state2 = planned_causal(*_matched(x, second), stride=second.stride, state=states[1])
    return x, (state1, state2)


def causal_host(
    x: mx.array, first: Any, second: Any, states: tuple[State, State] = (None, None)
) -> tuple[mx.array, tuple[mx.array, mx.array]]:
    """As `causal`, with voxmlx's rule for the states: the last K - stride frames, whatever was consumed."""
    middle, _ = planned_causal(*_matched(x, first), stride=first.stride, state=states[0])
    out, _ = planned_causal(*_matched(middle, second), stride=second.stride, state=states[1])
    return out, (_newest(x, first), _newest(middle, second))


def _newest(x: mx.array, conv: Any) -> mx.array:
    return x[:, -(conv.weight.shape[1] - conv.stride) :]


def symmetric(x: mx.array, first: nn.Module, second: nn.Module) -> mx.array:
    """Two convolutions with zeros on both sides, each with exact GELU: the offline stem, ``[B, T, n_mels]``."""
    for conv in (first, second):
        x = planned_symmetric(*_matched(x, conv), stride=conv.stride, padding=conv.padding)
    return x


def _matched(x: mx.array, conv: Any) -> tuple[mx.array, mx.array, mx.array]:
    """Input, weight and bias in the dtype that MLX would compute them in."""
    dtype = mx.result_type(x, conv.weight)
    return x.astype(dtype), conv.weight.astype(dtype), conv.bias.astype(dtype)
