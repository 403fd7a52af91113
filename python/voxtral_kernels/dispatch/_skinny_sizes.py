"""What `skinny_linear` launches: threads, columns, rows, and what grows with the tail."""

from __future__ import annotations

import mlx.core as mx

from ..backends.source import ints
from ..reference.skinny_linear import SkinnyLinear

COPIED = 4  # elements of a tail that a thread copies
RUNS = 4  # columns that a simdgroup takes side by side, 8 lanes each
AGAIN = 0.045  # what threadgroups may read again of the rows, as a share of the weights
SIMDGROUPS = (4, 8, 12, 16)  # of a threadgroup
FILLED = 16  # threadgroups that a GPU of 8 or 10 cores wants to have
FEW_COLUMNS = 1024  # below them its cores cannot be filled


def width(r: SkinnyLinear) -> int:
    """Numbers that a lane takes at once: 16 bytes where they are of 4, 8, 16 or 32 bits; whole words of any others."""
    return {0: 16 // r.weight.dtype.size, 8: 16}.get(r.bits, 32)


def rows(r: SkinnyLinear) -> int:
    """Rows that the instance has room for: the power of two that holds those of x."""
    return 1 << (r.rows - 1).bit_length()


def columns_of_a_lane(r: SkinnyLinear) -> int:
    """What is read of staged rows serves all of them; each takes registers for its sums and, quantised, its scales."""
    if rows(r) < 4:
        return 4 if r.bits else 2
    return 2 if r.bits and rows(r) == 16 else 4


def bytes_a_threadgroup(r: SkinnyLinear) -> int:
    """That it reads of the rows and of the gains of their norm: norm and scale once, or with each row its own."""
    own = r.scale is not None and r.scale.size > r.x.shape[-1]
    gains = sum(a.dtype.size for a in (r.norm, r.scale) if a is not None)
    of_x = r.x.dtype.size * (1 if r.residual is None else 2)
    return r.x.shape[-1] * (r.rows * (of_x + gains) if own else r.rows * of_x + gains)


def read_again(r: SkinnyLinear) -> float:
    """The same as a share of one column of the weight."""
    weights = sum(a.nbytes for a in (r.weight, r.scales, r.biases) if a is not None)
    return bytes_a_threadgroup(r) / (weights / r.weight.shape[0])


def threads(r: SkinnyLinear) -> int:
    """Of a threadgroup: as many as read little of x again, leave a GPU threadgroups enough, and have registers."""
    each, n = RUNS * columns_of_a_lane(r), r.weight.shape[0]
    # An Apple GPU's core has 128 registers for each of 12 simdgroups' threads, 104 for 16 (Mesa's agx_performance.c).
    most = 12 if (rows(r) == 16 and not r.bits) or (rows(r) in (4, 8) and r.bits) else SIMDGROUPS[-1]
    chosen = SIMDGROUPS[0]
    for simdgroups in SIMDGROUPS[1:]:
        if simdgroups > most or (n >= FEW_COLUMNS and n < FILLED * each * simdgroups):
            break
        if read_again(r) <= AGAIN * each * chosen and chosen >= 8:
            break
        chosen = simdgroups
    return 32 * chosen


def columns(r: SkinnyLinear) -> int:
    """That a threadgroup takes."""
    return threads(r) // 32 * RUNS * columns_of_a_lane(r)


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
