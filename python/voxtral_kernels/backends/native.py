"""The ``native`` backend: the C++ extension, on a CPU and on a GPU."""

from __future__ import annotations

import importlib
import operator
import sys
from typing import Any

import mlx.core as mx

from ..reference.definitions import INTERNAL, definition
from . import composed, native_gpu, select, selfcheck
from .extension import extension
from .select import Backend, UnavailableError, device_type


class Native(Backend):
    """One op of the extension: its function takes the fields of the request in their order, a stream and launches.

    Args:
        op: The op's stem.

    Raises:
        UnavailableError: the extension is not in use here, or the op has no native body yet.
    """

    def __init__(self, op: str) -> None:
        self.op = op
        self.ext = extension()
        if not hasattr(self.ext, op):
            raise UnavailableError(f"{op} has no native body yet.")
        self._function = getattr(self.ext, op)
        self._values = operator.attrgetter(*definition(op).Request.__dataclass_fields__)

    def unsupported(self, request: Any, device: mx.DeviceType) -> list[str]:
        if device == mx.cpu:
            return []
        if not self.ext.has_metal:
            return ["the extension was built without Metal."]
        dispatch = native_gpu.checked(self.op, self)
        reasons: list[str] = dispatch.unsupported(request)
        if reasons:
            return reasons
        failure = selfcheck.verdict(self.op, dispatch, request, native_gpu.note_launch, "native")
        return [failure] if failure else []

    def variant(self, request: Any) -> tuple[str, str]:
        if device_type(None) != mx.cpu:
            on_gpu: tuple[str, str] = native_gpu.checked(self.op, self).variant(request)
            return on_gpu
        try:
            on_cpu: tuple[str, str] = importlib.import_module(f"voxtral_kernels.dispatch.{self.op}").cpu_variant(
                request, self.ext.lanes()
            )
        except (ModuleNotFoundError, AttributeError):
            return "native", "It has one native form."
        return on_cpu

    def run(self, request: Any, stream: mx.Stream | mx.Device | None) -> Any:
        result = self._function(*self._values(request), stream, self._launches(request, stream))
        if isinstance(result, list):
            return result[0] if len(result) == 1 else tuple(result)
        return result

    def _launches(self, request: Any, stream: mx.Stream | mx.Device | None) -> list[Any]:
        """How a GPU serves the request; empty on a CPU, which decides when it runs."""
        if device_type(stream) == mx.cpu:
            return []
        return native_gpu.given_to(self.ext, native_gpu.record(self.op, request))


class _Attention(Native):
    """The op that reads the ring, which the extension writes in place."""

    in_place = True

    def commit(
        self,
        ring: mx.array,
        start: int,
        k: mx.array,
        v: mx.array,
        after: mx.array | None,
        stream: mx.Stream | mx.Device | None,
    ) -> mx.array:
        if after is None:
            return super().commit(ring, start, k, v, after, stream)
        return ring_commit(ring, start, k, v, after, stream)


def backend(op: str) -> Backend:
    """The ``native`` implementation of ``op``.

    Raises:
        UnavailableError: as for `Native`.
    """
    if op in INTERNAL:
        # A cache that this backend serves commits each append in place and has no tail; another's is rare.
        return composed.backend(op)
    return _Attention(op) if op == "sliding_window_attention" else Native(op)


def ring_commit(
    ring: mx.array, start: int, k: mx.array, v: mx.array, after: mx.array, stream: mx.Stream | mx.Device | None = None
) -> mx.array:
    """`reference.sliding_window_attention.commit` in place: the result takes over the memory of ``ring``.

    Only a cache may call this, on a ring that no one else holds: nothing may read ``ring`` once ``after`` (the last
    attention that reads it) is computed.
    """
    ext, launches = extension(), []
    if device_type(stream) != mx.cpu:
        launches = native_gpu.given_to(ext, [native_gpu.commit(ring, k)])
    return ext.ring_commit(ring, start, k, v, after, stream, launches)


def linear(x: mx.array, weight: mx.array, bias: mx.array | None) -> mx.array | None:
    """``x @ weight.T + bias`` by the convolution's kernel; None where ``native`` does not serve.

    Stock MLX has no fast matmul on a CPU without Apple's libraries; the models call this for their projections.

    Args:
        x: ``[..., C_in]``.
        weight: ``[C_out, C_in]``, dtype of ``x``.
        bias: ``[C_out]``, dtype of ``x``; None for none.
    """
    if sys.platform == "darwin" or select.forced() not in (None, "native"):
        return None
    if device_type(None) != mx.cpu:
        return None
    if x.dtype != weight.dtype or (bias is not None and bias.dtype != x.dtype) or x.size == 0:
        return None
    try:
        return extension().linear(x, weight, bias, None)
    except UnavailableError:
        return None
