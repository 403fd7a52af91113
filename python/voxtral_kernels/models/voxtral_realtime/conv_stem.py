"""Conv stem: log-mel frames to encoder frames at half the rate."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from ...backends import select
from ...ops.causal_conv1d_gelu import planned_causal
from ..ranks import Ranks, all_channels, watched

State = tuple[mx.array, mx.array]


class ConvStem(nn.Module):
    """``gelu(conv2(gelu(conv1(mel))))``, both causal with kernel 3, strides 1 and 2.

    Args:
        conv1_weight, conv1_bias: ``[D, 3, n_mels]``, ``[D]``.
        conv2_weight, conv2_bias: ``[D, 3, D]``, ``[D]``.
        ranks: Whose output channels are held here, ``[D / ranks, ...]`` of each; None: all are.
    """

    def __init__(
        self,
        conv1_weight: mx.array,
        conv1_bias: mx.array,
        conv2_weight: mx.array,
        conv2_bias: mx.array,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__()
        self.conv1_weight, self.conv1_bias = conv1_weight, conv1_bias
        self.conv2_weight, self.conv2_bias = conv2_weight, conv2_bias
        self.ranks = ranks

    def __call__(self, mel: mx.array, state: State | None = None) -> tuple[mx.array, State]:
        """``mel [B, T, n_mels]`` to ``(frames [B, T_out, D], state)``; T_out is T / 2 for an even T from the start.

        ``state`` None starts a stream; any split of the frames gives the same frames.
        """
        x, first, second = self._through(mel, *(state or (None, None)))
        return x, (first, second)

    def together(self, mel: mx.array, states: Sequence[State | None]) -> tuple[mx.array, list[State]]:
        """The same of several streams: ``mel [B, T, n_mels]`` and a state of each."""
        both = [state or (None, None) for state in states]
        x, first, second = self._through(mel, [of for of, _ in both], [of for _, of in both])
        return x, list(zip(first, second, strict=True))

    def _through(self, mel: mx.array, first: Any, second: Any) -> tuple[mx.array, Any, Any]:
        x, first = planned_causal(mel, self.conv1_weight, self.conv1_bias, stride=1, state=first)
        x = all_channels(self.ranks, x)
        x, second = planned_causal(x, self.conv2_weight, self.conv2_bias, stride=2, state=second)
        return all_channels(self.ranks, x), first, second

    def warm(self, frames: int) -> None:
        """Make the plans of a stream's steps of so many frames; on a GPU its kernels are compiled.

        A backend asked for by name that cannot serve them says so at the first call.
        """
        mel = mx.zeros((1, frames, self["conv1_weight"].shape[2]), self["conv1_weight"].dtype)
        with contextlib.suppress(RuntimeError), watched(self.ranks):
            _, state = self(mel)
            y, state = self(mel, state)
            # What went between ranks is not left undone: another thread may go on with it.
            if select.device_type(None) == mx.gpu or self.ranks is not None:
                mx.eval(y)
