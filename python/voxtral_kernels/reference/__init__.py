"""What each op means: its request, float64 oracle, composed form (stock MLX ops) and case list.

`backend` makes the composed forms the ``composed`` backend.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import mlx.core as mx


class Composed:
    """The stock MLX form of an op as a backend: serves every valid request."""

    def __init__(self, op: str, composed: Callable[..., Any]) -> None:
        self._op = op
        self._composed = composed

    def unsupported(self, request: Any, device: mx.DeviceType) -> list[str]:
        return []

    def variant(self, request: Any) -> tuple[str, str]:
        return "composed", "Stock MLX ops serve every shape."

    def run(self, request: Any, stream: mx.Stream | mx.Device | None) -> Any:
        if stream is None:
            return self._composed(request)
        with mx.stream(stream):
            return self._composed(request)


def backend(op: str) -> Composed:
    """The ``composed`` backend's implementation of ``op``."""
    return Composed(op, importlib.import_module(f"{__name__}.{op}").composed)
