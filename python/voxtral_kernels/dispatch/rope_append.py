"""Launches ``kernels/rope_append.metal``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx

from ..backends.source import Factory, ints, kernel
from ..reference.rope_append import RopeAppend, rotation
from ._canary import normal

FILE = "rope_append.metal"
MAX_THREADS = 256
VARIANTS = ("heads",)
INPUTS = ("q", "k", "v", "rotation", "tail_k", "tail_v", "sizes")
OUTPUTS = ("out_q", "out_k", "out_v")


def width(r: RopeAppend) -> int:
    """Elements a thread takes at once: 8 bytes, whole pairs."""
    return 8 // r.q.dtype.size


def unsupported(r: RopeAppend) -> list[str]:
    """Sentences that say why the kernel cannot serve the request; empty when it can."""
    return [f"D = {r.dim}; the kernel takes multiples of 8."] if r.dim % 8 else []


def variant(r: RopeAppend) -> tuple[str, str]:
    """There is one."""
    return "heads", "One launch turns q and k, splits the heads and grows both tails."


def cpu_variant(r: RopeAppend, lanes: int) -> tuple[str, str]:
    """What the extension does on a CPU with vectors of ``lanes`` floats, and why."""
    return "heads", "A thread takes whole heads of q, k and v."


def template(r: RopeAppend) -> list[tuple[str, Any]]:
    """The template arguments: nothing that changes as a stream moves."""
    return [("T", r.q.dtype), ("V", width(r))]


def canary(r: RopeAppend) -> RopeAppend:
    """A small request with the same template arguments: two heads of q, one of k and v, a batch, a tail."""
    dtype = r.q.dtype
    turns = mx.array(rotation(5, 3, 24, 1e4))
    tail_k, tail_v = (normal(seed, (2, 1, 2, 24), dtype) for seed in (3, 4))
    if r.k is None:
        return RopeAppend(normal(0, (6, 4 * 24), dtype), None, None, turns, tail_k, tail_v, 2, 1)
    k, v = (normal(seed, (6, 24), dtype) for seed in (1, 2))
    return RopeAppend(normal(0, (6, 2 * 24), dtype), k, v, turns, tail_k, tail_v, 2, 1)


def prepare(r: RopeAppend, factory: Factory, stream: mx.Stream | mx.Device | None) -> Callable[..., Any]:
    """`launch` for every request of this form, whatever its tail's length, by the request's fields."""
    run = kernel(factory, FILE, "rope_append", INPUTS, OUTPUTS)
    behind: dict[int, tuple[mx.array, dict[str, Any]]] = {}

    def append(
        q: mx.array,
        k: mx.array | None,
        v: mx.array | None,
        rotation: mx.array,
        tail_k: mx.array | None,
        tail_v: mx.array | None,
        *_: int,
    ) -> Any:
        # An operand that is absent is not read as such: q stands in its place.
        tails, n_tail = ((q, q), 0) if tail_k is None else ((tail_k, tail_v), tail_k.shape[2])
        if n_tail not in behind:
            behind[n_tail] = _behind(r, n_tail, stream)
        sizes, fixed = behind[n_tail]
        return run(inputs=[q, q if k is None else k, q if v is None else v, rotation, *tails, sizes], **fixed)

    return append


def _behind(r: RopeAppend, n_tail: int, stream: mx.Stream | mx.Device | None) -> tuple[mx.array, dict[str, Any]]:
    """The kernel's sizes, and the arguments of its launch, behind a tail of this length."""
    length, dim, total = r.rotation.shape[0], r.dim, n_tail + r.rotation.shape[0]
    pieces, kv_shape = dim // width(r), (r.batch, r.n_kv_heads, total, dim)
    return ints(r.n_heads, r.n_kv_heads, length, n_tail, dim, int(r.k is None)), {
        "template": template(r),
        "grid": (pieces, r.n_heads * length + 2 * r.n_kv_heads * total, r.batch),
        "threadgroup": (pieces, max(1, MAX_THREADS // pieces), 1),
        "output_shapes": [(r.batch, r.n_heads, length, dim), kv_shape, kv_shape],
        "output_dtypes": [r.q.dtype] * 3,
        "stream": stream,
    }


def launch(
    r: RopeAppend, factory: Factory, stream: mx.Stream | mx.Device | None
) -> tuple[mx.array, mx.array, mx.array]:
    """q ``[B, Hq, L, D]`` and both tails with the new rows behind, ``[B, Hkv, T + L, D]``."""
    # Where q stands for operands that are absent too, MLX would copy it for each.
    fields = (mx.contiguous(r.q, stream=stream), r.k, r.v, r.rotation, r.tail_k, r.tail_v)
    q, k, v = prepare(r, factory, stream)(*fields, r.n_heads, r.n_kv_heads)
    return q, k, v
