"""Conv stem: log-mel frames to encoder frames at half the rate."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from ...ops.causal_conv1d_gelu import causal_conv1d_gelu

State = tuple[mx.array, mx.array]


class ConvStem(nn.Module):
    """``gelu(conv2(gelu(conv1(mel))))``, both causal with kernel 3, strides 1 and 2.

    Args:
        conv1_weight, conv1_bias: ``[D, 3, n_mels]``, ``[D]``.
        conv2_weight, conv2_bias: ``[D, 3, D]``, ``[D]``.
    """

    def __init__(
        self, conv1_weight: mx.array, conv1_bias: mx.array, conv2_weight: mx.array, conv2_bias: mx.array
    ) -> None:
        super().__init__()
        self.conv1_weight, self.conv1_bias = conv1_weight, conv1_bias
        self.conv2_weight, self.conv2_bias = conv2_weight, conv2_bias

    def __call__(self, mel: mx.array, state: State | None = None) -> tuple[mx.array, State]:
        """``mel [B, T, n_mels]`` to ``(frames [B, T_out, D], state)``; T_out is T / 2 for an even T from the start.

        ``state`` None starts a stream; any split of the frames gives the same frames.
        """
        first, second = state or (None, None)
        x, first = causal_conv1d_gelu(mel, self.conv1_weight, self.conv1_bias, stride=1, state=first)
        x, second = causal_conv1d_gelu(x, self.conv2_weight, self.conv2_bias, stride=2, state=second)
        return x, (first, second)
