"""What `sliding_window_attention` chooses its kernels by: rows, head size, number of keys."""

from __future__ import annotations

from collections.abc import Callable

from ..reference.ring import is_quantised
from ..reference.sliding_window_attention import SlidingWindowAttention

# Queries of a stream whose results do not depend on each other's company: see docs/kernels.md.
MAX_QUERIES = 16
MAX_ROWS = 8  # queries times heads of a group that the vector variant takes
MAX_VECTOR = 512  # rows times D that fit a simdgroup's registers
SIMDS = 8  # simdgroups of a vector threadgroup: one for each share of the keys
MAX_STAGED = 256  # the same, of rows that keep what they summed before
SPAN = 512  # positions of a split


def rows_of(r: SlidingWindowAttention) -> int:
    """Queries times heads of a group: what shares each key."""
    return r.q.shape[1] // r.tail_k.shape[1] * r.q.shape[2]


def padded(rows: int) -> int:
    """The power of two that holds them."""
    return 1 << (rows - 1).bit_length()


def _within(n: int) -> int:
    """The greatest power of two that is not beyond ``n``."""
    return 1 << (n.bit_length() - 1)


def is_cut(window: int | None, kv_heads: int) -> bool:
    """Whether several threadgroups share a kv head's keys: a matter of the form alone, not of rows or positions."""
    return window is None or window > (1024 if kv_heads >= 16 else SPAN)


def bits_of(r: SlidingWindowAttention) -> int:
    """8, or 16 for any other ring or none."""
    return 8 if r.ring is not None and is_quantised(r.ring) else 16


def splits_at(r: SlidingWindowAttention) -> Callable[[int, int], int]:
    """`n_splits` of every request of this form, by its ``ring_end`` and the length of its tail.

    It is 0 where the form is taken in matrix tiles.
    """
    length, window = r.q.shape[2], r.window
    if length > MAX_QUERIES:
        return lambda ring_end, n_tail: 0
    if not is_cut(window, r.tail_k.shape[1]):
        return lambda ring_end, n_tail: 1
    if r.streams is not None:  # of any that stands there or before: those beyond a stream's own are empty
        most = None if window is None else (window + length - 2) // SPAN + 2
        return lambda ring_end, n_tail: min(-(-(ring_end + n_tail) // SPAN), most or n_tail + ring_end)
    capacity = 0 if r.ring is None else r.ring.shape[3]

    def splits(ring_end: int, n_tail: int) -> int:
        end = ring_end + n_tail
        oldest = ring_end if not capacity else max(0, ring_end - capacity)
        first = oldest if window is None else max(oldest, end - length - window + 1)
        return (end - 1) // SPAN - first // SPAN + 1

    return splits


def n_splits(r: SlidingWindowAttention) -> int:
    """Threadgroups that share the keys of a kv head where the stream stands now; cut at multiples of `SPAN`."""
    return splits_at(r)(r.ring_end, r.n_tail)


def variant(r: SlidingWindowAttention) -> tuple[str, str]:
    """``vector``, ``staged``, each with ``_split`` or without, or ``tiled``, and why."""
    length, rows, dim = r.q.shape[2], rows_of(r), r.q.shape[3]
    if length > MAX_QUERIES:
        return "tiled", f"{length} queries, more than {MAX_QUERIES}: {rows} rows are taken in matrix tiles."
    few = rows <= MAX_ROWS and padded(rows) * dim <= MAX_VECTOR
    name = "vector" if few else "staged"
    how = "share each key in registers" if few else "share each key in threadgroup memory"
    how = f"{rows} rows (queries times heads of a group) of D = {dim} {how}"
    keys, splits = r.offset + length - r.first_key, n_splits(r)  # of streams: at most
    if splits == 1:
        return name, f"{how}; one threadgroup a kv head takes all {keys} keys."
    return f"{name}_split", f"{how}; {splits} threadgroups a kv head share {keys} keys and a second launch merges them."


def staged(r: SlidingWindowAttention) -> tuple[int, int, int]:
    """Rows of a simdgroup, simdgroups of a threadgroup, and keys of a tile: the staged variant's sizes."""
    rows, dim = rows_of(r), r.q.shape[3]
    each = min(4, _within(MAX_STAGED // dim), padded(-(-rows // 8)))
    # Keys and values, 16 KB at most; the queries, which come first, fit too.
    return each, 8 if rows <= 8 * each else 16, min(32, _within(8192 // (dim * r.q.dtype.size)))


def cpu_variant(r: SlidingWindowAttention, lanes: int) -> tuple[str, str]:
    """What the extension does on a CPU with vectors of ``lanes`` floats, and why."""
    rows, most = rows_of(r), min(4, lanes // 2)
    if rows <= most:
        return "vector", f"{rows} rows share a key-value head, at most {most}: lanes run along head_dim."
    return "tiled", f"{rows} rows share a key-value head, more than {most}: lanes run along rows."


def tiles(r: SlidingWindowAttention) -> tuple[int, int]:
    """Rows and keys of a tile, so that both fit 32 KB of threadgroup memory."""
    row_bytes = r.q.shape[3] * r.q.dtype.size
    return (32, 32) if row_bytes <= 256 else (32, 16) if row_bytes <= 512 else (16, 8)


def threadgroups(r: SlidingWindowAttention, splits: int) -> tuple[int, int]:
    """Threads of a threadgroup, and threadgroups a kv head; 0 splits: in matrix tiles."""
    name, rows = variant(r)[0], rows_of(r)
    if name == "tiled":
        return 4 * tiles(r)[0], -(-rows // tiles(r)[0])
    if name.startswith("vector"):
        return 32 * SIMDS, splits
    each, simds, _ = staged(r)
    return 32 * simds, splits * -(-rows // (each * simds))
