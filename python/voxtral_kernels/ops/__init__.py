"""The public ops. Each file: docstring, checks, backend choice, launch."""

from __future__ import annotations

from .ada_rms_norm import ada_rms_norm
from .ada_rms_norm import request as _ada_rms_norm
from .causal_conv1d_gelu import causal_conv1d_gelu, conv1d_gelu
from .causal_conv1d_gelu import request as _causal_conv1d_gelu
from .causal_conv1d_gelu import symmetric_request as _conv1d_gelu
from .sliding_window_attention import request as _sliding_window_attention
from .sliding_window_attention import sliding_window_attention

__all__ = ["ada_rms_norm", "causal_conv1d_gelu", "conv1d_gelu", "sliding_window_attention"]

# Public name -> what checks its arguments and says (request, stem); `explain` builds its request by it.
REQUESTS = {
    "ada_rms_norm": lambda *a, **k: (_ada_rms_norm(*a, **k), "ada_rms_norm"),
    "causal_conv1d_gelu": lambda *a, **k: (_causal_conv1d_gelu(*a, **k), "causal_conv1d_gelu"),
    "conv1d_gelu": lambda *a, **k: (_conv1d_gelu(*a, **k), "causal_conv1d_gelu"),
    "sliding_window_attention": lambda *a, **k: (_sliding_window_attention(*a, **k), "sliding_window_attention"),
}
