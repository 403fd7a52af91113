"""What would serve a call, and why."""

from __future__ import annotations

from typing import Any

from .. import _check
from ..backends import select
from .ada_rms_norm import request as _ada_rms_norm
from .causal_conv1d_gelu import request as _causal_conv1d_gelu
from .causal_conv1d_gelu import symmetric_request as _conv1d_gelu
from .sliding_window_attention import request as _sliding_window_attention

# Public name -> what checks its arguments and says (request, stem).
REQUESTS = {
    "ada_rms_norm": lambda *a, **k: (_ada_rms_norm(*a, **k), "ada_rms_norm"),
    "causal_conv1d_gelu": lambda *a, **k: (_causal_conv1d_gelu(*a, **k), "causal_conv1d_gelu"),
    "conv1d_gelu": lambda *a, **k: (_conv1d_gelu(*a, **k), "causal_conv1d_gelu"),
    "sliding_window_attention": lambda *a, **k: (_sliding_window_attention(*a, **k), "sliding_window_attention"),
}


def explain(op: str, *args: Any, **kwargs: Any) -> tuple[str, str, list[str]]:
    """What would serve a call, without making it.

    Args:
        op: ``"ada_rms_norm"``, ``"causal_conv1d_gelu"``, ``"conv1d_gelu"`` or ``"sliding_window_attention"``.
        *args, **kwargs: As for the op itself.

    Returns:
        ``(backend, variant, reasons)``; reasons are sentences.

    Raises:
        ValueError: ``op`` is none of ours, or an argument is one that the op itself refuses.
        RuntimeError: a backend asked for by name cannot serve the call.
    """
    if op not in REQUESTS:
        raise _check.fail("explain", "op", f"one of {', '.join(REQUESTS)}", repr(op))
    stream = kwargs.pop("stream", None)
    request, stem = REQUESTS[op](*args, **kwargs)
    choice = select.select(stem, request, stream)
    return choice.backend, choice.variant, choice.reasons
