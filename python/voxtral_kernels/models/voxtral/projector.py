"""Projector: groups of encoder frames to one embedding a token; the realtime model's adapter by another name."""

from __future__ import annotations

import mlx.core as mx

from ... import _check
from ..voxtral_realtime.adapter import Adapter


class Projector(Adapter):
    """``linear_2(gelu(linear_1(frames side by side)))``; see `Adapter` for its arguments."""

    op = "projector"

    def __call__(self, frames: mx.array) -> mx.array:
        """Encoder frames ``[B, T, D_encoder]`` to audio embeddings ``[B, T / downsample, D]``, any B >= 1.

        Raises:
            ValueError: no frames, frames of another width, or T that is no multiple of ``downsample``.
        """
        width = self.w_in.matrix.columns // self.downsample
        if frames.ndim != 3 or min(frames.shape) < 1 or frames.shape[2] != width:
            raise _check.fail(self.op, "frames", f"[B, T, {width}] with B and T >= 1", f"shape {frames.shape}")
        return super().__call__(frames)
