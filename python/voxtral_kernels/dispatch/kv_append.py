"""Launches ``kernels/kv_append.metal``."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from ..backends.source import Factory, kernel
from ..reference.kv_append import KvAppend
from ._canary import normal

FILE = "kv_append.metal"
MAX_THREADS = 256
VARIANTS = ("copy",)


def width(r: KvAppend) -> int:
    """Elements a thread takes at once: 8 bytes."""
    return 8 // r.k.dtype.size


def unsupported(r: KvAppend) -> list[str]:
    """Sentences that say why the kernel cannot serve the request; empty when it can."""
    dim = r.k.shape[3]
    return [f"D = {dim}; the kernel takes multiples of 8."] if dim % 8 else []


def variant(r: KvAppend) -> tuple[str, str]:
    """There is one."""
    return "copy", "One launch copies the tails and the new rows, of keys and values."


def template(r: KvAppend) -> list[tuple[str, Any]]:
    """The template arguments: nothing that changes as a stream moves."""
    return [("T", r.k.dtype), ("V", width(r))]


def canary(r: KvAppend) -> KvAppend:
    """A small request with the same template arguments; the new rows are a view."""
    parts = [normal(seed, (1, 2, 3, 24), r.k.dtype) for seed in range(4)]
    return KvAppend(parts[0], parts[1], parts[2][:, :, 1:], parts[3][:, :, 1:])


def launch(r: KvAppend, factory: Factory, stream: mx.Stream | mx.Device | None) -> tuple[mx.array, mx.array]:
    """Both tails with the new rows behind, ``[B, Hkv, T + L, D]``."""
    batch, kv_heads, n_new, dim = r.k.shape
    length = r.tail_k.shape[2] + n_new
    pieces = dim // width(r) * length
    tails = [mx.contiguous(a, stream=stream) for a in (r.tail_k, r.tail_v)]
    run = kernel(factory, FILE, "kv_append", ("tail_k", "tail_v", "k", "v"), ("out_k", "out_v"), False)
    out_k, out_v = run(
        inputs=[*tails, r.k, r.v],
        template=template(r),
        grid=(pieces, batch * kv_heads, 2),
        threadgroup=(min(MAX_THREADS, pieces), 1, 1),
        output_shapes=[(batch, kv_heads, length, dim)] * 2,
        output_dtypes=[r.k.dtype] * 2,
        stream=stream,
    )
    return out_k, out_v
