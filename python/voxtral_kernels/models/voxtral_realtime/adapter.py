"""Adapter: groups of encoder frames to one embedding a token."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from ... import _check
from ..layers import Linear, gelu


class Adapter(nn.Module):
    """``w_out(gelu(w_in(frames side by side)))``.

    Args:
        w_in: ``downsample * D_encoder`` to ``D``.
        w_out: ``D`` to ``D``.
        downsample: Encoder frames of one token.
    """

    op = "adapter"

    def __init__(self, w_in: Linear, w_out: Linear, downsample: int) -> None:
        super().__init__()
        self.w_in, self.w_out, self.downsample = w_in, w_out, downsample

    def __call__(self, frames: mx.array) -> mx.array:
        """``[B, T, D_encoder]`` to ``[B, T / downsample, D]``.

        Raises:
            ValueError: T is no multiple of ``downsample``.
        """
        batch, length, dim = frames.shape
        if length % self.downsample:
            raise _check.fail(self.op, "frames", f"a multiple of {self.downsample} frames", length)
        x = frames.reshape(batch, length // self.downsample, self.downsample * dim)
        return self.w_out(gelu(self.w_in(x)))
