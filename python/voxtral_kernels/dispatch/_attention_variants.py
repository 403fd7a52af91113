"""What `sliding_window_attention` chooses its kernels by: rows, head size, number of keys."""

from __future__ import annotations

from collections.abc import Callable

from ..reference.ring import is_quantised
from ..reference.sliding_window_attention import SlidingWindowAttention

MAX_ROWS = 8  # queries times heads of a group that the vector variant takes
MAX_VECTOR = 1024  # rows times D that fit a simdgroup's registers
KEYS_PER_SPLIT = 256  # twice as many of 8 bits
MAX_SPLITS = 32  # half as many of 8 bits; bounds what the splits write and read again to 3 % of the keys at 8192


def rows_of(r: SlidingWindowAttention) -> int:
    """Queries times heads of a group: what shares each key."""
    return r.q.shape[1] // r.tail_k.shape[1] * r.q.shape[2]


def padded(rows: int) -> int:
    """The power of two that holds them."""
    return 1 << (rows - 1).bit_length()


def most_keys(r: SlidingWindowAttention) -> int:
    """Keys that the queries of this form see at most, wherever the stream stands."""
    return _bounded(r)(r.tail_k.shape[2])


def _bounded(r: SlidingWindowAttention) -> Callable[[int], int]:
    """`most_keys` by the length of the tail."""
    capacity = 0 if r.ring is None else r.ring.shape[3]
    if r.window is None:
        return lambda n_tail: n_tail + capacity
    seen = r.window + r.q.shape[2] - 1
    return lambda n_tail: min(n_tail + capacity, seen)


def splits_of(keys: int, kv_heads: int, bits: int) -> int:
    """Threadgroups that share the keys of one kv head in the vector variant.

    Args:
        keys: That the queries see.
        kv_heads: Of the whole batch.
        bits: Of the ring.
    """
    if keys <= (1024 if kv_heads >= 16 else 2 * KEYS_PER_SPLIT):
        return 1
    smaller = 2 if bits == 8 else 1
    return min(MAX_SPLITS // smaller, -(-keys // (KEYS_PER_SPLIT * smaller)))


def bits_of(r: SlidingWindowAttention) -> int:
    """8, or 16 for any other ring or none."""
    return 8 if r.ring is not None and is_quantised(r.ring) else 16


def n_splits(r: SlidingWindowAttention) -> int:
    """`splits_of` where the stream stands now."""
    keys = min(r.ring_end + r.tail_k.shape[2], most_keys(r))
    return splits_of(keys, r.tail_k.shape[0] * r.tail_k.shape[1], bits_of(r))


def splits_at(r: SlidingWindowAttention) -> Callable[[int, int], int]:
    """`n_splits` of every request of this form, by its ``ring_end`` and the length of its tail.

    It is 0 where the form is taken in matrix tiles.
    """
    if variant(r)[0] == "tiled":
        return lambda ring_end, n_tail: 0
    most, kv_heads, bits = _bounded(r), r.tail_k.shape[0] * r.tail_k.shape[1], bits_of(r)
    return lambda ring_end, n_tail: splits_of(min(ring_end + n_tail, most(n_tail)), kv_heads, bits)


def variant(r: SlidingWindowAttention) -> tuple[str, str]:
    """``vector``, ``vector_split`` or ``tiled``, and why."""
    rows, dim = rows_of(r), r.q.shape[3]
    if rows > MAX_ROWS or padded(rows) * dim > MAX_VECTOR:
        return "tiled", f"{rows} rows (queries times heads of a group) of D = {dim} are taken in matrix tiles."
    keys, splits = min(r.ring_end + r.tail_k.shape[2], most_keys(r)), n_splits(r)
    few = f"{rows} rows (queries times heads of a group) share each key"
    if splits == 1:
        return "vector", f"{few}; one threadgroup a kv head takes all {keys} keys."
    return "vector_split", f"{few}; {splits} threadgroups a kv head share {keys} keys and a second launch merges them."


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
