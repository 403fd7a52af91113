"""What `skinny_linear` launches: threads, columns, rows, and what grows with the tail."""

from __future__ import annotations

import mlx.core as mx

from ..backends.source import ints
from ..reference.skinny_linear import SkinnyLinear

COLUMNS = 4  # of a simdgroup
COPIED = 4  # elements of a tail that a thread copies


def width(r: SkinnyLinear) -> int:
    """Numbers that a lane takes at once: what one load brings of a plain weight; whole words of a quantised one."""
    return (32 if r.bits % 2 else 16) if r.bits else 4


def rows(r: SkinnyLinear) -> int:
    """Rows that the instance has room for: the power of two that holds those of x."""
    return 1 << (r.rows - 1).bit_length()


def threads(r: SkinnyLinear) -> int:
    """Of a threadgroup: each stages all rows, so it takes more columns where that costs; 16 rows leave no registers."""
    return 512 if rows(r) < 16 and (r.norm is not None or r.rows > 1) else 256


def columns(r: SkinnyLinear) -> int:
    """That a threadgroup takes."""
    return threads(r) // 32 * COLUMNS


def behind_tail(r: SkinnyLinear, n_tail: int) -> tuple[list[mx.array], int, list[tuple[int, ...]]]:
    """What depends on the tail's length: sizes that the kernel reads, threadgroups, shapes of the heads."""
    groups = -(-r.weight.shape[0] // columns(r))
    if r.rotation is None:
        return [], groups, []
    batch = r.rows // r.length
    groups += -(-batch * r.n_kv_heads * n_tail * r.dim // (COPIED * threads(r)))
    kv = (batch, r.n_kv_heads, n_tail + r.length, r.dim)
    layout = ints(r.n_heads, r.n_kv_heads, r.length, n_tail, r.dim, r.rotation.shape[0])
    return [layout], groups, [(batch, r.n_heads, r.length, r.dim), kv, kv]
