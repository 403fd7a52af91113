"""The ``native`` backend: the C++ extension, on a CPU and on a GPU."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mlx.core as mx

from ..reference.definitions import INTERNAL, definition
from . import composed, native_gpu, select, selfcheck
from .extension import extension
from .select import Backend, UnavailableError, device_type

NO_METAL = "the extension was built without Metal."


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
        self._fields = tuple(definition(op).Request.__dataclass_fields__)

    @property
    def any_tail(self) -> bool:
        """A GPU's launches hold the sizes of what they write."""
        return device_type(None) == mx.cpu

    def unsupported(self, request: Any, device: mx.DeviceType) -> list[str]:
        if device == mx.cpu:
            return []
        if not self.ext.has_metal:
            return [NO_METAL]
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
        values = [getattr(request, name) for name in self._fields]
        return self._function(*values, stream, self._launches(request, stream))

    def prepare(self, request: Any) -> Callable[..., Any]:
        function, launches = self._function, self._launches(request, None)
        if launches is None:
            planned: Callable[..., Any] = function
            return planned
        return lambda *fields: function(*fields, None, launches)

    def _launches(self, request: Any, stream: mx.Stream | mx.Device | None) -> Any:
        """How a GPU serves the request; None on a CPU, which decides when it runs."""
        if device_type(stream) == mx.cpu:
            return None
        return native_gpu.given_to(self.ext, native_gpu.record(self.op, request))


class _Attention(Native):
    """The op that reads the ring, which the extension writes in place."""

    in_place = True

    def prepare(self, request: Any) -> Callable[..., Any]:
        if device_type(None) == mx.cpu:
            return super().prepare(request)
        function, held = self._function, dict[int, Any]()
        splits_at, n_tail = native_gpu.splits_at(request), request.n_tail

        def attend(q: mx.array, ring: Any, ring_end: int, k: mx.array, v: mx.array, *fields: Any) -> mx.array:
            # How many threadgroups share the keys is all that moves with the stream.
            splits = splits_at(ring_end, n_tail)
            if splits not in held:
                held[splits] = self._launches(replace(request, ring_end=ring_end), None)
            window, scale, as_rows, *streams = fields
            apart = streams[0] if streams else None
            out: mx.array = function(q, ring, ring_end, k, v, window, scale, as_rows, apart, None, held[splits])
            return out

        return attend

    def prepare_commit(self, request: Any) -> Callable[..., mx.array]:
        if device_type(None) == mx.cpu:
            planned: Callable[..., mx.array] = self.ext.ring_commit
            return planned
        ext, held = self.ext, dict[tuple[int, int, int, int], Any]()

        def commit(
            ring: mx.array, start: int, k: mx.array, v: mx.array, after: mx.array, streams: mx.array | None = None
        ) -> mx.array:
            # Of a draft fewer rows are kept than were attended.
            key = ring.shape[3], k.shape[2], k.shape[0], 0 if streams is None else streams.shape[0]
            if key not in held:
                held[key] = native_gpu.given_to(ext, [native_gpu.commit(ring, k, key[3])])
            written: mx.array = ext.ring_commit(ring, start, k, v, after, streams, None, held[key])
            return written

        return commit

    def commit(
        self,
        ring: mx.array,
        start: int,
        k: mx.array,
        v: mx.array,
        after: mx.array | None,
        stream: mx.Stream | mx.Device | None,
        streams: mx.array | None = None,
    ) -> mx.array:
        if after is None:
            return super().commit(ring, start, k, v, after, stream, streams)
        return ring_commit(ring, start, k, v, after, stream, streams)


class _Stock(composed.Composed):
    """The stock form of an internal op without a native body, where the extension serves at all."""

    def __init__(self, op: str) -> None:
        super().__init__(op, composed.form(op))

    def unsupported(self, request: Any, device: mx.DeviceType) -> list[str]:
        return [] if device == mx.cpu or extension().has_metal else [NO_METAL]


class _SkinnyLinear(Native):
    """The op of few rows."""

    def unsupported(self, request: Any, device: mx.DeviceType) -> list[str]:
        if device == mx.cpu and request.scales is None and request.rows > FEW_ROWS:
            return [f"{request.rows} rows; a plain product of more than {FEW_ROWS} is faster in tiles."]
        return super().unsupported(request, device)


_KINDS: dict[str, type[Native]] = {"sliding_window_attention": _Attention, "skinny_linear": _SkinnyLinear}


def backend(op: str) -> Backend:
    """The ``native`` implementation of ``op``.

    Raises:
        UnavailableError: as for `Native`.
    """
    if op in INTERNAL and not hasattr(extension(), op):
        # kv_append: a cache that this backend serves commits each append in place and has no tail; another's is rare.
        return _Stock(op)
    return _KINDS.get(op, Native)(op)


def ring_commit(
    ring: mx.array,
    start: int,
    k: mx.array,
    v: mx.array,
    after: mx.array,
    stream: mx.Stream | mx.Device | None = None,
    streams: mx.array | None = None,
) -> mx.array:
    """`reference.sliding_window_attention.commit` in place: the result takes over the memory of ``ring``.

    Only a cache may call this, on a ring that no one else holds: nothing may read ``ring`` once ``after`` (the last
    attention that reads it) is computed.
    """
    ext, launches = extension(), None
    if device_type(stream) != mx.cpu:
        n_streams = 0 if streams is None else streams.shape[0]
        launches = native_gpu.given_to(ext, [native_gpu.commit(ring, k, n_streams)])
    return ext.ring_commit(ring, start, k, v, after, streams, stream, launches)


# Measured: with more rows than this the tiles of the convolution are faster than `skinny_linear`.
FEW_ROWS = 64
# The fields of SkinnyLinear behind the bias, where nothing stands around the product.
ALONE = (None, None, 0.0, None, None, False, 0, None, None, None, 0, 0)


def linear(
    x: mx.array,
    weight: mx.array,
    scales: mx.array | None = None,
    biases: mx.array | None = None,
    bias: mx.array | None = None,
) -> mx.array | None:
    """``x @ weight.T + bias`` by `skinny_linear` or, many rows, a convolution of one tap; None where neither serves.

    Stock MLX has no fast matmul on a CPU without Apple's libraries; the models call this for their projections.

    Args:
        x: ``[..., K]``.
        weight: ``[N, K]``, dtype of ``x``, or quantised with ``scales`` and ``biases``, see `SkinnyLinear`.
        bias: ``[N]``, dtype of ``x``; None for none.
    """
    stored = weight.dtype if scales is None else scales.dtype
    alike = stored == x.dtype or (scales is not None and stored == mx.float32)
    if not alike or (bias is not None and bias.dtype != x.dtype) or x.size == 0:
        return None
    function = linear_function(x.size // x.shape[-1])
    if scales is None or function is None:
        return None if function is None else function(x, weight, bias)
    y: mx.array = extension().skinny_linear(x, weight, scales, biases, bias, *ALONE)
    return y


def linear_function(rows: int) -> Callable[..., mx.array] | None:
    """What `linear` calls of ``(x, weight, bias)`` in this `select.context`; None: stock MLX.

    Args:
        rows: At least one, of one dtype with the weight and the bias.
    """
    if sys.platform == "darwin" or select.forced() not in (None, "native") or device_type(None) != mx.cpu:
        return None
    try:
        ext = extension()
    except UnavailableError:
        return None
    if rows > FEW_ROWS:
        many: Callable[..., mx.array] = ext.linear
        return many
    skinny_linear = ext.skinny_linear
    return lambda x, weight, bias: skinny_linear(x, weight, None, None, bias, *ALONE)
