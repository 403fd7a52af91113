"""The public ops. Each file: docstring, checks, backend choice, launch."""

from __future__ import annotations

from .ada_rms_norm import ada_rms_norm
from .causal_conv1d_gelu import causal_conv1d_gelu, conv1d_gelu
from .explain import explain
from .sliding_window_attention import sliding_window_attention

__all__ = ["ada_rms_norm", "causal_conv1d_gelu", "conv1d_gelu", "explain", "sliding_window_attention"]
