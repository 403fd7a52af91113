"""The ``native`` backend: the C++ extension, on a CPU and on a GPU."""

from __future__ import annotations

import sys
from typing import Any

import mlx.core as mx

from ..reference.ada_rms_norm import AdaRmsNorm
from ..reference.causal_conv1d_gelu import CausalConv1dGelu
from ..reference.definitions import INTERNAL
from ..reference.sliding_window_attention import SlidingWindowAttention
from . import composed, native_gpu, select, selfcheck
from .extension import extension
from .select import Backend, UnavailableError, device_type


class _Native(Backend):
    """What the three ops share."""

    op: str

    def __init__(self) -> None:
        self.ext = extension()

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
        if device_type(None) == mx.cpu:
            return self.cpu_variant(request)
        found: tuple[str, str] = native_gpu.checked(self.op, self).variant(request)
        return found

    def cpu_variant(self, request: Any) -> tuple[str, str]:
        raise NotImplementedError

    def launches(self, request: Any, stream: mx.Stream | mx.Device | None) -> list[Any]:
        """How a GPU serves the request; empty on a CPU, which decides when it runs."""
        if device_type(stream) == mx.cpu:
            return []
        return native_gpu.given_to(self.ext, native_gpu.record(self.op, request))


class _AdaRmsNorm(_Native):
    op = "ada_rms_norm"

    def cpu_variant(self, request: AdaRmsNorm) -> tuple[str, str]:
        return "looped", "A thread takes whole rows and loops over each."

    def run(self, request: AdaRmsNorm, stream: mx.Stream | mx.Device | None) -> mx.array | tuple[mx.array, mx.array]:
        r = request
        outputs = self.ext.ada_rms_norm(r.x, r.weight, r.scale, r.eps, r.residual, stream, self.launches(r, stream))
        return outputs[0] if r.residual is None else tuple(outputs)


class _CausalConv1dGelu(_Native):
    op = "causal_conv1d_gelu"

    def cpu_variant(self, request: CausalConv1dGelu) -> tuple[str, str]:
        most = self.ext.lanes() // 2
        if request.n_out <= most:
            return "vector", f"At most {most} frames: lanes run along the sum, and each weight is read once."
        return "tiled", f"More than {most} frames: lanes run along frames, over packed blocks of the input."

    def run(self, request: CausalConv1dGelu, stream: mx.Stream | mx.Device | None) -> mx.array:
        r = request
        pads, launches = (r.pad_left, r.pad_right), self.launches(r, stream)
        return self.ext.causal_conv1d_gelu(r.x, r.weight, r.bias, r.context, r.stride, *pads, r.gelu, stream, launches)


class _SlidingWindowAttention(_Native):
    op = "sliding_window_attention"
    in_place = True

    def cpu_variant(self, request: SlidingWindowAttention) -> tuple[str, str]:
        most = min(4, self.ext.lanes() // 2)
        rows = request.q.shape[2] * (request.q.shape[1] // request.tail_k.shape[1])
        if rows <= most:
            return "vector", f"{rows} rows share a key-value head, at most {most}: lanes run along head_dim."
        return "tiled", f"{rows} rows share a key-value head, more than {most}: lanes run along rows."

    def run(self, request: SlidingWindowAttention, stream: mx.Stream | mx.Device | None) -> mx.array:
        r = request
        ring, tails, launches = (r.ring, r.ring_end), (r.tail_k, r.tail_v), self.launches(r, stream)
        return self.ext.sliding_window_attention(r.q, *ring, *tails, r.window, r.scale, stream, launches)

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


_OPS = {
    "ada_rms_norm": _AdaRmsNorm,
    "causal_conv1d_gelu": _CausalConv1dGelu,
    "sliding_window_attention": _SlidingWindowAttention,
}


def backend(op: str) -> Backend:
    """The ``native`` implementation of ``op``.

    Raises:
        UnavailableError: the extension is not in use here, or the op has no native body yet.
    """
    if op in INTERNAL:
        # A cache that this backend serves commits each append in place and has no tail; another's is rare.
        return composed.backend(op)
    extension()
    if op not in _OPS:
        raise UnavailableError(f"{op} has no native body yet.")
    return _OPS[op]()


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
