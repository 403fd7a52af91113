"""Audio encoder: causal transformer with a sliding window, in batch and in streaming alike."""

from __future__ import annotations

from ..stack import Stack


class Encoder(Stack):
    """``norm(blocks(x))``: frames from the conv stem ``[B, T, D]``, with caches those behind what they have seen."""
