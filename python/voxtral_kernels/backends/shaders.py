"""The shaders as a backend: one class for `mx.fast.metal_kernel` (``metal``) and for the emulator."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import mlx.core as mx

from .. import _check
from ..reference.definitions import SHADED, definition
from . import selfcheck, transforms
from .select import Backend, UnavailableError
from .source import Factory


class Kernels(Backend):
    """One op served by its shaders.

    Args:
        op: The op's stem.
        factory: `mx.fast.metal_kernel` or what has its signature.
        route: ``metal`` or ``emulator``.
        checked: Check each variant at its first use, see `selfcheck`.

    Raises:
        UnavailableError: the op has no shader yet.
    """

    def __init__(self, op: str, factory: Factory, route: str, *, checked: bool) -> None:
        self._op, self._factory, self._route, self._checked = op, factory, route, checked
        self._functions: dict[Any, Callable[..., Any]] = {}  # of uncached calls, by all that is not an array
        if op not in SHADED:
            raise UnavailableError(f"{op} has no shader yet.")
        self._dispatch = importlib.import_module(f"voxtral_kernels.dispatch.{op}")

    def unsupported(self, request: Any, device: mx.DeviceType) -> list[str]:
        if self._route == "metal" and device != mx.gpu:
            return ["metal kernels run on a GPU; this call is on the CPU."]
        reasons: list[str] = self._dispatch.unsupported(request)
        if reasons or not self._checked:
            return reasons
        failure = selfcheck.verdict(self._op, self._dispatch, request, self._factory, self._route)
        return [failure] if failure else []

    def variant(self, request: Any) -> tuple[str, str]:
        found: tuple[str, str] = self._dispatch.variant(request)
        return found

    def run(self, request: Any, stream: mx.Stream | mx.Device | None) -> Any:
        if self._route == "emulator":
            # The emulator runs a kernel when it is called: there must be values.
            if transforms.in_transformation(*_arrays(request).values()):
                raise _check.fail(self._op, "backend", "another than emulator inside a transformation", "emulator")
            return self._dispatch.launch(request, self._factory, stream)
        if getattr(request, "ring", None) is not None:
            return self._dispatch.launch(request, self._factory, stream)
        arrays = _arrays(request)
        fixed = {n: v for n in request.__dataclass_fields__ if not isinstance(v := getattr(request, n), mx.array)}
        form = (type(request), tuple(arrays), tuple(fixed.items()))
        if stream is None:
            if form not in self._functions:
                self._functions[form] = self._differentiable(*form, stream)
            return self._functions[form](*arrays.values())
        return self._differentiable(*form, stream)(*arrays.values())

    def prepare(self, request: Any) -> Callable[..., Any]:
        if self._route == "emulator" or not hasattr(self._dispatch, "prepare"):
            return super().prepare(request)
        planned: Callable[..., Any] = self._dispatch.prepare(request, self._factory, None)
        return planned

    def _differentiable(
        self,
        request_type: type,
        names: tuple[str, ...],
        fixed: tuple[tuple[str, Any], ...],
        stream: mx.Stream | mx.Device | None,
    ) -> Callable[..., Any]:
        """The launch as a function of the arrays, whose vector-Jacobian product is that of the composed form."""

        def through(form: Callable[[Any], Any]) -> Callable[..., Any]:
            return lambda *values: form(request_type(**dict(fixed), **dict(zip(names, values, strict=True))))

        launch = mx.custom_function(through(lambda r: self._dispatch.launch(r, self._factory, stream)))

        @launch.vjp
        def vjp(primals, cotangents, outputs):
            composed = through(definition(self._op).composed)
            listed = list(cotangents) if isinstance(cotangents, (tuple, list)) else [cotangents]
            return tuple(mx.vjp(composed, list(primals), listed)[1])

        result: Callable[..., Any] = launch
        return result


def _arrays(request: Any) -> dict[str, mx.array]:
    fields = {name: getattr(request, name) for name in request.__dataclass_fields__}
    return {name: value for name, value in fields.items() if isinstance(value, mx.array)}
