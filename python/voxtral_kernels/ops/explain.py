"""What would serve a call, and why."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from .. import _check
from .._paths import PACKAGE
from ..backends import select
from ..reference.definitions import OPS


@functools.cache
def public_ops() -> dict[str, tuple[Callable[..., Any], str]]:
    """Public name -> what checks its arguments, and the stem: each ``ops/<op>.py`` says its own as ``REQUESTS``."""
    found: dict[str, tuple[Callable[..., Any], str]] = {}
    for op in OPS:
        if (PACKAGE / "ops" / f"{op}.py").is_file():
            module = importlib.import_module(f"{__package__}.{op}")
            found |= {name: (request, op) for name, request in module.REQUESTS.items()}
    return found


def explain(op: str, *args: Any, **kwargs: Any) -> tuple[str, str, list[str]]:
    """What would serve a call, without making it.

    Args:
        op: A public op's name: ``"ada_rms_norm"``, ``"causal_conv1d_gelu"``, ``"sliding_window_attention"`` ...
        *args, **kwargs: As for the op itself.

    Returns:
        ``(backend, variant, reasons)``; reasons are sentences.

    Raises:
        ValueError: ``op`` is none of ours, or an argument is one that the op itself refuses.
        RuntimeError: a backend asked for by name cannot serve the call.
    """
    requests = public_ops()
    if op not in requests:
        raise _check.fail("explain", "op", f"one of {', '.join(requests)}", repr(op))
    stream = kwargs.pop("stream", None)
    request, stem = requests[op]
    choice = select.select(stem, request(*args, **kwargs), stream)
    return choice.backend, choice.variant, choice.reasons
