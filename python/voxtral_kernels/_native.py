"""The ``native`` backend: the C++ extension ``_ext``, loaded at first use with the MLX it was built against only."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

import mlx.core as mx

from . import _backends, reference
from ._backends import UnavailableError
from .reference.ada_rms_norm import AdaRmsNorm
from .reference.causal_conv1d_gelu import CausalConv1dGelu
from .reference.sliding_window_attention import SlidingWindowAttention

MODULE = f"{__package__}._ext"


@cache
def extension() -> Any:
    """The module ``_ext``.

    Raises:
        UnavailableError: there is none, or it does not fit this MLX; the text says so in one sentence.
    """
    spec = importlib.util.find_spec(MODULE)
    if spec is None or spec.origin is None:
        raise UnavailableError("the extension is not installed (the package was installed without a C++ compiler).")
    built = built_against(Path(spec.origin))
    if built != mlx_version():
        raise UnavailableError(
            f"the extension was built against MLX {built} and steps aside for MLX {mlx_version()}; "
            "reinstall voxtral-kernels to use it."
        )
    try:
        return importlib.import_module(MODULE)
    except ImportError as error:
        raise UnavailableError(f"the extension does not load here ({error}).") from error


def mlx_version() -> str:
    """The version of the MLX that runs."""
    return str(vars(mx)["__version__"])


def built_against(extension_file: Path) -> str:
    """The MLX version recorded beside the extension when it was built."""
    record = extension_file.with_name("_ext_mlx_version.txt")
    return record.read_text().strip() if record.is_file() else "of an unknown version"


def status() -> str:
    """One sentence for ``voxtral-kernels info``: whether the extension serves, and with what."""
    try:
        ext = extension()
    except UnavailableError as reason:
        return f"native: not in use: {reason}"
    threads = ext.threads()
    return (
        f"native: in use, instruction set {ext.isa()} of {', '.join(ext.available_isas())}, "
        f"{threads} thread{'s' if threads > 1 else ''}, built against MLX {mlx_version()}."
    )


class _Native:
    """What the three ops share."""

    op: str

    def __init__(self) -> None:
        self.ext = extension()

    def unsupported(self, request: Any, device: mx.DeviceType) -> list[str]:
        if device == mx.cpu:
            return []
        if not self.ext.has_metal:
            return ["the extension was built without Metal."]
        from . import _native_gpu, _selfcheck

        dispatch = _native_gpu.checked(self.op, self)
        reasons: list[str] = dispatch.unsupported(request)
        if reasons:
            return reasons
        failure = _selfcheck.verdict(self.op, dispatch, request, _native_gpu.note_launch, "native")
        return [failure] if failure else []

    def variant(self, request: Any) -> tuple[str, str]:
        if _backends.device_type(None) == mx.cpu:
            return self.cpu_variant(request)
        from . import _native_gpu

        found: tuple[str, str] = _native_gpu.checked(self.op, self).variant(request)
        return found

    def cpu_variant(self, request: Any) -> tuple[str, str]:
        raise NotImplementedError

    def run(self, request: Any, stream: mx.Stream | mx.Device | None) -> Any:
        raise NotImplementedError

    def launches(self, request: Any, stream: mx.Stream | mx.Device | None) -> list[Any]:
        """How a GPU serves the request; empty on a CPU, which decides when it runs."""
        if _backends.device_type(stream) == mx.cpu:
            return []
        from . import _native_gpu

        return _native_gpu.given_to(self.ext, _native_gpu.record(self.op, request))


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


_OPS = {
    "ada_rms_norm": _AdaRmsNorm,
    "causal_conv1d_gelu": _CausalConv1dGelu,
    "sliding_window_attention": _SlidingWindowAttention,
}


def backend(op: str) -> _backends.Backend:
    """The ``native`` implementation of ``op``."""
    if op == "kv_append":
        # A cache that this backend serves commits each append in place and has no tail; another's is rare.
        return reference.backend(op)
    return _OPS[op]()


def ring_commit(
    ring: mx.array, start: int, k: mx.array, v: mx.array, after: mx.array, stream: mx.Stream | mx.Device | None = None
) -> mx.array:
    """`reference.sliding_window_attention.commit` in place: the result takes over the memory of ``ring``.

    Only a cache may call this, on a ring that no one else holds: nothing may read ``ring`` once ``after`` (the last
    attention that reads it) is computed.
    """
    ext, launches = extension(), []
    if _backends.device_type(stream) != mx.cpu:
        from . import _native_gpu

        launches = _native_gpu.given_to(ext, [_native_gpu.commit(ring, k)])
    return ext.ring_commit(ring, start, k, v, after, stream, launches)


def linear(x: mx.array, weight: mx.array, bias: mx.array | None) -> mx.array | None:
    """``x @ weight.T + bias`` by the convolution's kernel; None where ``native`` does not serve.

    Stock MLX has no fast matmul on a CPU without Apple's libraries; the models call this for their projections.

    Args:
        x: ``[..., C_in]``.
        weight: ``[C_out, C_in]``, dtype of ``x``.
        bias: ``[C_out]``, dtype of ``x``; None for none.
    """
    if sys.platform == "darwin" or _backends.forced() not in (None, "native"):
        return None
    if _backends.device_type(None) != mx.cpu:
        return None
    if x.dtype != weight.dtype or (bias is not None and bias.dtype != x.dtype) or x.size == 0:
        return None
    try:
        return extension().linear(x, weight, bias, None)
    except UnavailableError:
        return None
