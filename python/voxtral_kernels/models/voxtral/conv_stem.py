"""Conv stem: a chunk's log-mel frames to encoder frames at half the rate, with their positions."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from ... import _check
from ...ops.causal_conv1d_gelu import planned_symmetric
from ..ranks import Ranks, all_channels

OP = "conv_stem"


class ConvStem(nn.Module):
    """``gelu(conv2(gelu(conv1(mel)))) + positions``, kernels 3, one zero frame on both sides, strides 1 and 2.

    Each stage can be used alone: `conv1`, `convs`, and the call itself. ``B`` is any number of chunks >= 1.

    Args:
        conv1_weight, conv1_bias: ``[D, 3, n_mels]``, ``[D]``.
        conv2_weight, conv2_bias: ``[D, 3, D]``, ``[D]``.
        positions: ``[max_source_positions, D]``; float32 whatever the other dtypes, as the reference keeps it.
        ranks: Whose output channels are held here, ``[D / ranks, ...]`` of each, of the positions those columns; None:
            all are.
    """

    def __init__(
        self,
        conv1_weight: mx.array,
        conv1_bias: mx.array,
        conv2_weight: mx.array,
        conv2_bias: mx.array,
        positions: mx.array,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__()
        self.conv1_weight, self.conv1_bias = conv1_weight, conv1_bias
        self.conv2_weight, self.conv2_bias = conv2_weight, conv2_bias
        self.positions, self.ranks = positions, ranks

    def conv1(self, mel: mx.array, *, gelu: bool = True) -> mx.array:
        """First convolution: ``mel [B, F, n_mels]`` to ``[B, F, D]``; ``gelu`` False leaves the activation out.

        Raises:
            ValueError: mel of another shape or dtype, or without chunks or frames.
        """
        self._check(mel)
        x = planned_symmetric(mel, self.conv1_weight, self.conv1_bias, stride=1, padding=1, gelu=gelu)
        return all_channels(self.ranks, x)

    def convs(self, mel: mx.array) -> mx.array:
        """Both convolutions, each with GELU: ``[B, F, n_mels]`` to ``[B, ceil(F / 2), D]``.

        Raises:
            ValueError: as `conv1`.
        """
        return all_channels(self.ranks, self._held(mel))

    def __call__(self, mel: mx.array) -> mx.array:
        """The whole stem: ``[B, F, n_mels]`` to ``[B, ceil(F / 2), D]``.

        Raises:
            ValueError: as `conv1`; or F is more than two frames for each position.
        """
        self._check(mel)
        most = self.positions.shape[0]
        length = (mel.shape[1] + 1) // 2
        if length > most:
            raise _check.fail(OP, "mel", f"at most {2 * most} frames (max_source_positions {most})", mel.shape[1])
        x = self._held(mel)
        return all_channels(self.ranks, (x.astype(mx.float32) + self.positions[:length]).astype(x.dtype))

    def _held(self, mel: mx.array) -> mx.array:
        """The channels of `convs` that are held here."""
        return planned_symmetric(self.conv1(mel), self.conv2_weight, self.conv2_bias, stride=2, padding=1)

    def _check(self, mel: mx.array) -> None:
        _check.array(OP, mel=mel)
        n_mels = self.conv1_weight.shape[2]
        expected = f"[B, F, {n_mels}] with B and F >= 1"
        if mel.ndim != 3 or mel.shape[2] != n_mels or min(mel.shape) < 1:
            raise _check.fail(OP, "mel", expected, f"shape {mel.shape}")
        _check.dtype(OP, "mel", mel, self.conv1_weight.dtype)
