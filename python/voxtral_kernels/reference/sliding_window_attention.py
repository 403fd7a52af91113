"""The op's definition: request, oracle (float64), composed (stock MLX ops), cases."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import mlx.core as mx
import numpy as np

from . import _unseen, rule
from . import streams as apart
from ._arrays import float64, normal, strided
from ._attention_inputs import spoilt
from ._in_order import in_order_of_use
from .ring import commit as commit
from .ring import dequantised, empty_ring, exact, is_quantised, parts

# Queries that one stock attention call takes: bounds the mask and the scores of a long batch call.
BLOCK = 512


@dataclass(frozen=True)
class SlidingWindowAttention:
    """A checked call: the newest positions in the tail, older ones in the ring.

    Positions count from the cache's first token. Source: sliding-window attention, Beltagy et al. 2020 (Longformer);
    window and grouped heads as in Voxtral Realtime.
    """

    q: mx.array  # [B, Hq, L, D]: the last L positions of the tail
    ring: mx.array | None  # [2, B, Hkv, C, D], keys then values; slot = position % C; of 8 bits: see `ring`; or None
    ring_end: int  # positions max(0, ring_end - C) .. ring_end - 1 are in the ring
    tail_k: mx.array  # [B, Hkv, T, D], positions ring_end .. ring_end + T - 1
    tail_v: mx.array  # [B, Hkv, T, D]
    window: int | None  # visible keys including the query's own; None: plain causal
    scale: float
    as_rows: bool = False  # the result is [B * L, Hq * D]: a row a position, heads side by side
    streams: mx.array | None = None  # each of B is a stream that stands elsewhere, see `streams`; ring_end: the largest

    @property
    def n_tail(self) -> int:
        """Positions in the tail; of streams all of them."""
        return self.tail_k.shape[2 if self.streams is None else 0]

    @property
    def offset(self) -> int:
        """Position of the first query; of streams none is beyond it."""
        return self.ring_end + self.n_tail - self.q.shape[2]

    @property
    def ring_start(self) -> int:
        """Oldest position in the ring."""
        return self.ring_end if self.ring is None else max(0, self.ring_end - self.ring.shape[3])

    @property
    def first_key(self) -> int:
        """Oldest position that any query sees."""
        oldest = 0 if self.window is None else self.offset - self.window + 1
        return max(self.ring_start, oldest)


Request = SlidingWindowAttention


def oracle(r: SlidingWindowAttention) -> np.ndarray:
    """Ground truth in float64, ``[B, Hq, L, D]`` or as rows. Never optimise this function."""
    if r.streams is not None:
        return np.concatenate([oracle(one) for one in apart.alone(r)])
    q, k, v = float64(r.q), float64(r.tail_k), float64(r.tail_v)
    if r.ring is not None:
        slots = np.arange(r.ring_start, r.ring_end) % r.ring.shape[3]
        ring = (exact if is_quantised(r.ring) else float64)(r.ring)[:, :, :, slots]
        k, v = np.concatenate([ring[0], k], axis=2), np.concatenate([ring[1], v], axis=2)
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    query = np.arange(r.offset, r.offset + q.shape[2])[:, None]
    key = np.arange(r.ring_start, r.ring_start + k.shape[2])[None, :]
    visible = key <= query
    if r.window is not None:
        visible &= key > query - r.window
    scores = np.where(visible, np.einsum("bhld,bhnd->bhln", q, k, optimize=True) * r.scale, -np.inf)
    with np.errstate(invalid="ignore"):
        # A score beyond float32's range is infinite, as in stock attention.
        scores = np.where(np.abs(scores) > np.finfo(np.float32).max, np.sign(scores) * np.inf, scores)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights = weights / weights.sum(-1, keepdims=True)
    if np.isfinite(v).all():
        out = np.einsum("bhln,bhnd->bhld", weights, v, optimize=True)
    else:
        # A key that a query does not see is not there for it, whatever its value.
        rows = [np.einsum("bhn,bhnd->bhd", weights[:, :, i, seen], v[:, :, seen]) for i, seen in enumerate(visible)]
        out = np.stack(rows, axis=2)
    return out.transpose(0, 2, 1, 3).reshape(-1, q.shape[1] * q.shape[3]) if r.as_rows else out


def composed(r: SlidingWindowAttention) -> mx.array:
    """Stock MLX ops: the yardstick and the benchmark baseline."""
    return _attend(r, _stock)


def served(r: SlidingWindowAttention) -> mx.array:
    """The fallback backend: stock ops in which a value that a query does not see never reaches its result."""
    return _attend(r, _unseen.attention)


def _attend(r: SlidingWindowAttention, attention: Callable[..., mx.array]) -> mx.array:
    if r.streams is not None:
        return mx.concatenate([_attend(one, attention) for one in apart.alone(r)])
    if r.ring is not None and is_quantised(r.ring):
        q, k, v = (a.astype(mx.float32) for a in (r.q, r.tail_k, r.tail_v))
        wide = replace(r, q=q, ring=dequantised(*parts(r.ring)), tail_k=k, tail_v=v)
        return _attend(wide, attention).astype(r.q.dtype)
    keys, values, positions = in_order_of_use(r, BLOCK)
    length = r.q.shape[2]
    blocks = []
    for start in range(0, length, BLOCK):
        stop = min(start + BLOCK, length)
        first = positions[0] if r.window is None else r.offset + start - r.window + 1
        # Only whole batches are cut; a chunk out of a ring is one block and sees its positions in slot order.
        cut = (
            slice(max(0, first - int(positions[0])), r.offset + stop - int(positions[0]))
            if length > BLOCK
            else slice(None)
        )
        visible = _visible(r, positions[cut], r.offset + start, stop - start)
        q = r.q[:, :, start:stop]
        blocks.append(attention(q, keys[:, :, cut], values[:, :, cut], scale=r.scale, visible=visible))
    out = blocks[0] if len(blocks) == 1 else mx.concatenate(blocks, axis=2)
    return out.transpose(0, 2, 1, 3).reshape(-1, r.q.shape[1] * r.q.shape[3]) if r.as_rows else out


def _stock(q: mx.array, keys: mx.array, values: mx.array, *, scale: float, visible: np.ndarray) -> mx.array:
    mask = None if visible.all() else mx.array(visible)
    return mx.fast.scaled_dot_product_attention(q, keys, values, scale=scale, mask=mask)


def _visible(r: SlidingWindowAttention, positions: np.ndarray, offset: int, length: int) -> np.ndarray:
    """The mask ``[length, keys]``."""
    query = np.arange(offset, offset + length)[:, None]
    visible = positions[None] <= query
    if r.window is not None:
        visible &= positions[None] > query - r.window
    return visible


@dataclass(frozen=True)
class Case:
    """One shape and cache state; ``str`` is its test id."""

    B: int
    Hq: int
    Hkv: int
    L: int
    D: int
    window: int | None
    past: int = 0  # positions before the first query
    tail: int = 0  # of those, how many are in the tail, not in the ring
    capacity: int | None = None  # of the ring; None: the window
    outlier: bool = False
    view: bool = False
    as_rows: bool = False
    extreme: str = ""  # one of rule.EXTREMES
    bits: int = 16  # 8: of the ring
    apart: int = 0  # B streams, each so many positions behind the one before, its tail shorter by one

    def __str__(self) -> str:
        state = f"past{self.past}+{self.tail}" if self.past else "fresh"
        size = f"-C{self.capacity}" if self.capacity else ""
        flags = "".join(f"-{n}" for n in ("outlier", "view", "as_rows") if getattr(self, n))
        flags += (f"-{self.extreme}" if self.extreme else "") + ("-bits8" if self.bits == 8 else "")
        flags += f"-apart{self.apart}" if self.apart else ""
        return f"B{self.B}-H{self.Hq}.{self.Hkv}-L{self.L}-D{self.D}-W{self.window}-{state}{size}{flags}"


CASES = [
    Case(1, 8, 8, 4, 64, 750, past=748, tail=40),  # encoder, one token of audio, around the wrap
    Case(1, 8, 8, 8, 64, 750, past=2000, tail=63),
    Case(1, 4, 4, 200, 64, 750, past=1500, tail=0),  # a long chunk past the wrap
    Case(1, 8, 2, 1, 128, 8192, past=8191, tail=1),  # decoder at a full window
    Case(1, 4, 1, 1, 128, 8192, past=20000, tail=127),
    Case(1, 8, 2, 39, 128, 8192),  # prefill
    Case(1, 4, 4, 1, 48, 50, past=49, tail=0),  # the tiny encoder, at the wrap
    Case(1, 4, 4, 4, 48, 50, past=120, tail=17),
    Case(1, 6, 2, 1, 32, 64, past=64, tail=64),  # the tiny decoder, ring empty of late positions
    Case(2, 6, 2, 7, 32, 24, past=100, tail=5, view=True),
    Case(2, 4, 4, 9, 32, 1, past=3, tail=0),  # a query sees itself alone
    Case(1, 2, 2, 31, 96, 16, past=33, tail=16),  # chunk longer than the window
    Case(1, 8, 1, 2, 256, 40, past=7, tail=3),
    Case(3, 2, 1, 64, 160, None),  # plain causal
    Case(1, 4, 2, 5, 64, None, past=70, tail=6, capacity=256),  # unbounded cache
    Case(1, 2, 2, 65, 64, 1000),  # window beyond the sequence
    Case(1, 2, 2, 8, 64, 64, past=200, tail=9, outlier=True),
    Case(1, 2, 1, 600, 32, 50),  # several blocks of queries
    Case(2, 4, 2, 2, 64, 20, past=50, tail=6),  # few queries of a batch
    Case(2, 2, 1, 1, 32, None, past=700, tail=30, capacity=1024),  # a batch whose keys are split
    Case(1, 3, 3, 6, 64, 50, past=121, tail=5),  # rows for half a vector; odd runs of keys
    Case(1, 4, 2, 1, 32, 640, past=700, tail=9, as_rows=True),  # as a model's layer asks for it, keys split
    Case(2, 4, 2, 2, 32, 24, past=60, tail=6, as_rows=True),
    Case(2, 4, 4, 20, 32, 24, past=60, tail=6, as_rows=True),
    Case(1, 2, 1, 9, 32, None, past=700, tail=30, capacity=1024),  # a draft whose keys are split
    Case(
        1, 8, 1, 9, 128, 640, past=1659, tail=9, bits=8
    ),  # the same in several blocks of rows, the first split not of all
    Case(3, 4, 2, 1, 32, 64, past=150, tail=4, apart=70),  # streams: wrapped, not yet, and a beginning
    Case(3, 8, 2, 1, 128, 8192, past=1400, tail=2, apart=650, as_rows=True),  # decoder, few keys and many
    Case(2, 4, 4, 4, 64, 750, past=800, tail=40, apart=300, as_rows=True),  # encoder, one token of audio each
    Case(3, 4, 1, 11, 32, 24, past=60, tail=0, apart=25, view=True),
    Case(3, 4, 2, 1, 32, 64, past=150, tail=4, apart=70, bits=8),
    Case(2, 4, 1, 20, 160, 40, past=90, tail=6, apart=50, bits=8, as_rows=True),
    Case(1, 8, 2, 1, 128, 8192, past=20000, tail=0, bits=8),  # decoder at a full window, keys split
    Case(1, 8, 2, 1, 128, 300, past=420, tail=19, bits=8),
    Case(1, 8, 8, 4, 64, 750, past=2000, tail=63, bits=8, as_rows=True),  # encoder, one token of audio
    Case(1, 4, 4, 90, 64, 100, past=300, tail=9, bits=8),  # a chunk in tiles, past the wrap
    Case(2, 6, 2, 3, 48, 24, past=100, tail=5, bits=8, view=True),
    Case(2, 4, 1, 20, 160, 40, past=90, tail=0, bits=8),
    Case(1, 2, 2, 8, 64, 64, past=200, tail=9, bits=8, outlier=True),
    Case(1, 4, 2, 5, 64, None, past=70, tail=6, capacity=256, bits=8),  # unbounded cache
    Case(1, 2, 1, 600, 32, 50, past=70, tail=0, bits=8),  # several blocks of queries
]

EXTREMES = [
    case
    for kind in rule.EXTREMES
    for case in (
        Case(1, 4, 2, 1, 32, 24, past=60, tail=7, extreme=kind),  # few rows
        Case(1, 2, 2, 2, 32, 24, past=60, tail=7, extreme=kind),
        Case(1, 4, 1, 4, 64, 24, past=60, tail=7, extreme=kind),
        Case(1, 2, 1, 40, 64, 24, past=60, tail=0, extreme=kind),  # tiles
        *(Case(1, 4, 2, n, 32, 24, past=60, tail=2, extreme=kind, bits=8) for n in (1, 20)),
    )
]


def cross() -> Iterator[Case]:
    """The full cross of lengths, windows and cache states, for soak runs."""
    lengths = [1, 2, 7, 8, 9, 31, 64, 200]
    heads = [(1, 1, 64), (4, 1, 128), (8, 2, 32), (2, 2, 96), (8, 1, 64)]
    for length, window, (hq, hkv, d) in itertools.product(lengths, [1, 16, 50, 300, None], heads):
        for past, tail in [(0, 0), (15, 1), (49, 0), (50, 50), (301, 17)]:
            capacity = 512 if window is None else None
            for bits in (16, 8) if past > tail else (16,):
                yield Case(1, hq, hkv, length, d, window, past, tail, capacity, bits=bits)


def example(case: Case, dtype: mx.Dtype, seed: int = 0) -> SlidingWindowAttention:
    """Random inputs of the case, with the ring and tail that a stream would have left."""
    if case.apart:
        return _apart(case, dtype, seed)
    rng = np.random.default_rng(seed)
    total = case.past + case.L
    q = normal(rng, (case.B, case.Hq, case.L, case.D), dtype)
    k, v = (normal(rng, (case.B, case.Hkv, total, case.D), dtype) for _ in range(2))
    if case.outlier:
        # A key just inside the first query's window and one just outside it: either slip is far off.
        first = case.past - (case.window or case.past) + 1
        for position, size in ((first, 8.0), (first - 1, 8.0)):
            k[:, :, position] = k[:, :, position] * size
            v[:, :, position] = v[:, :, position] + 100.0 * (position - first + 2)
    if case.extreme:
        q, k, v = spoilt(case.extreme, case.past, q, k, v)
    if case.view:
        q, k, v = strided(q), strided(k), strided(v)
    r = from_sequence(q, k, v, case.window, case.past - case.tail, case.capacity or case.window, case.bits)
    return replace(r, as_rows=case.as_rows)


def _apart(case: Case, dtype: mx.Dtype, seed: int) -> SlidingWindowAttention:
    alone = []
    for i in range(case.B):
        past = max(0, case.past - i * case.apart)
        one = replace(case, B=1, past=past, tail=min(past, max(0, case.tail - i)), apart=0, view=False)
        alone.append(example(one, dtype, seed + 100 * i))
    r = apart.together(alone)
    return replace(r, q=strided(r.q)) if case.view else r


def from_sequence(
    q: mx.array, k: mx.array, v: mx.array, window: int | None, ring_end: int, capacity: int | None, bits: int = 16
) -> SlidingWindowAttention:
    """The request of a stream that has committed the first ``ring_end`` positions of ``k`` and ``v``."""
    ring = None
    if ring_end:
        ring = empty_ring(k.shape[:2], capacity or ring_end, k.shape[3], k.dtype, bits)
        ring = commit(ring, 0, k[:, :, :ring_end], v[:, :, :ring_end])
        mx.eval(ring)
    scale = q.shape[-1] ** -0.5
    return SlidingWindowAttention(q, ring, ring_end, k[:, :, ring_end:], v[:, :, ring_end:], window, scale)
