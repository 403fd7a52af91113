"""The ``composed`` backend: the stock MLX form of each op, from its definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx

from ..reference.definitions import definition
from .select import Backend


class Composed(Backend):
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
    """The ``composed`` backend's implementation of ``op``: what the definition serves, or its stock form."""
    return Composed(op, form(op))


def form(op: str) -> Callable[..., Any]:
    """What `backend` serves ``op`` by, as a function of the request."""
    ref = definition(op)
    found: Callable[..., Any] = getattr(ref, "served", ref.composed)
    return found
