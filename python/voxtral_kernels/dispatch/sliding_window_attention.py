"""Launches ``kernels/sliding_window_attention_{vector,tiled}.metal``."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from ..backends.source import Factory, floats, ints, kernel
from ..reference.sliding_window_attention import SlidingWindowAttention, from_sequence
from ._canary import normal

VECTOR, TILED = "sliding_window_attention_vector", "sliding_window_attention_tiled"
VARIANTS = ("vector", "vector_split", "tiled")
INPUTS = ("q", "ring", "tail_k", "tail_v", "state", "scale")
SIMDS = 8  # simdgroups of a vector threadgroup
MAX_ROWS = 8  # queries times heads of a group that the vector variant takes
MAX_VECTOR = 1024  # rows times D that fit a simdgroup's registers
NO_WINDOW = 1 << 30
KEYS_PER_SPLIT = 256
MAX_SPLITS = 32  # bounds what the splits write and read again to 3 % of the keys at 8192


def unsupported(r: SlidingWindowAttention) -> list[str]:
    """Sentences that say why the kernels cannot serve the request; empty when they can."""
    dim = r.q.shape[3]
    fits = dim % 16 == 0 and dim <= 256
    return [] if fits else [f"D = {dim}; the kernels take multiples of 16 up to 256."]


def _rows(r: SlidingWindowAttention) -> int:
    return r.q.shape[1] // r.tail_k.shape[1] * r.q.shape[2]


def _padded(rows: int) -> int:
    return 1 << (rows - 1).bit_length()


def n_splits(r: SlidingWindowAttention) -> int:
    """Threadgroups that share the keys of one kv head in the vector variant."""
    keys = r.offset + r.q.shape[2] - r.first_key
    enough_heads = r.q.shape[0] * r.tail_k.shape[1] >= 16
    if keys <= (1024 if enough_heads else 2 * KEYS_PER_SPLIT):
        return 1
    return min(MAX_SPLITS, -(-keys // KEYS_PER_SPLIT))


def variant(r: SlidingWindowAttention) -> tuple[str, str]:
    """``vector``, ``vector_split`` or ``tiled``, and why."""
    rows, dim = _rows(r), r.q.shape[3]
    if rows > MAX_ROWS or _padded(rows) * dim > MAX_VECTOR:
        return "tiled", f"{rows} rows (queries times heads of a group) of D = {dim} are taken in matrix tiles."
    keys, splits = r.offset + r.q.shape[2] - r.first_key, n_splits(r)
    few = f"{rows} rows (queries times heads of a group) share each key"
    if splits == 1:
        return "vector", f"{few}; one threadgroup a kv head takes all {keys} keys."
    return "vector_split", f"{few}; {splits} threadgroups a kv head share {keys} keys and a second launch merges them."


def cpu_variant(r: SlidingWindowAttention, lanes: int) -> tuple[str, str]:
    """What the extension does on a CPU with vectors of ``lanes`` floats, and why."""
    rows, most = _rows(r), min(4, lanes // 2)
    if rows <= most:
        return "vector", f"{rows} rows share a key-value head, at most {most}: lanes run along head_dim."
    return "tiled", f"{rows} rows share a key-value head, more than {most}: lanes run along rows."


def tiles(r: SlidingWindowAttention) -> tuple[int, int]:
    """Rows and keys of a tile, so that both fit 32 KB of threadgroup memory."""
    row_bytes = r.q.shape[3] * r.q.dtype.size
    return (32, 32) if row_bytes <= 256 else (32, 16) if row_bytes <= 512 else (16, 8)


def template(r: SlidingWindowAttention) -> list[tuple[str, Any]]:
    """The template arguments: dtypes, sizes and options; nothing that changes as a stream moves."""
    tiled = [*zip(("BQ", "BK"), tiles(r), strict=True)]
    sizes = tiled if variant(r)[0] == "tiled" else [("ROWS", _padded(_rows(r))), ("SIMDS", SIMDS)]
    return [("T", r.q.dtype), ("D", r.q.shape[3]), ("HAS_RING", r.ring is not None), *sizes]


def canary(r: SlidingWindowAttention) -> SlidingWindowAttention:
    """A small request with the same template arguments: a wrapped ring, a tail, a window shorter than what is kept."""
    name, group, dim = variant(r)[0], r.q.shape[1] // r.tail_k.shape[1], r.q.shape[3]
    length = -(-40 // group) if name == "tiled" else r.q.shape[2]
    window, past = (600, 700) if name == "vector_split" else (21, 50)
    q = normal(0, (1, group, length, dim), r.q.dtype)
    k, v = (normal(seed, (1, 1, past + length, dim), r.q.dtype) for seed in (1, 2))
    end = 0 if r.ring is None else past - 3
    return from_sequence(q, k, v, window, end, window + length + 7)


def launch(r: SlidingWindowAttention, factory: Factory, stream: mx.Stream | mx.Device | None) -> mx.array:
    """``[B, Hq, L, D]``, a view of the ``[B, L, Hq, D]`` that the kernels write."""
    tails = [mx.contiguous(a, stream=stream) for a in (r.tail_k, r.tail_v)]
    ring = tails[0] if r.ring is None else mx.contiguous(r.ring, stream=stream)
    window = NO_WINDOW if r.window is None else min(r.window, NO_WINDOW)
    inputs = [r.q, ring, *tails, ints(r.ring_end, window), floats(r.scale)]
    batch, heads, length, dim = r.q.shape
    out = {"output_shapes": [(batch, length, heads, dim)], "output_dtypes": [r.q.dtype], "stream": stream}
    name = variant(r)[0]
    if name == "tiled":
        file, threads, groups = TILED, 4 * tiles(r)[0], -(-_rows(r) // tiles(r)[0])
    else:
        file, threads, groups = VECTOR, 32 * SIMDS, n_splits(r)
    grid = (threads * groups, r.tail_k.shape[1], batch)
    over = {"inputs": inputs, "template": template(r), "grid": grid, "threadgroup": (threads, 1, 1)}
    if name != "vector_split":
        y = kernel(factory, f"{file}.metal", file, INPUTS, ("out",), False)(**over, **out)[0]
        return y.transpose(0, 2, 1, 3)
    parts = kernel(factory, f"{VECTOR}.metal", f"{VECTOR}_split", INPUTS, ("partial", "stats"), False)(
        **over,
        output_shapes=[(batch, heads, length, groups, n) for n in (dim, 2)],
        output_dtypes=[mx.float32, mx.float32],
        stream=stream,
    )
    merge = kernel(factory, f"{VECTOR}.metal", f"{VECTOR}_merge", ("partial", "stats"), ("out",))
    lanes = 32 * -(-dim // 32)
    over = {"grid": (lanes, batch * heads * length, 1), "threadgroup": (lanes, 1, 1)}
    y = merge(inputs=parts, template=[("T", r.q.dtype)], **over, **out)[0]
    return y.transpose(0, 2, 1, 3)
