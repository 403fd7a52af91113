"""What the key/value caches share: appending, committing, growing, accessors.

A cache is a ring plus a tail. The ring holds committed positions at ``slot = position % capacity``; the tail holds the
newest ones in a small buffer, so that appending copies the tail alone and the ring is written once in many tokens.
"""

from __future__ import annotations

import contextlib
import copy
import math
from dataclasses import replace
from typing import Any

import mlx.core as mx

from .. import _check
from .._exclusive import Exclusive
from ..backends import select
from ..backends.plan import Heads, Plans
from ..backends.select import Backend
from ..reference import sliding_window_attention as reference
from ..reference.kv_append import KvAppend
from ..reference.ring import dequantised, empty_ring, grown, parts
from ..reference.sliding_window_attention import SlidingWindowAttention
from .bits import check_bits
from .pending import Draft, Pending, Stream, Write

OP = "sliding_window_attention"
# The ring grows in steps of this many positions until it has its capacity.
GROWTH = 256


class KVCache(Pending):
    """What `RingKVCache` and `LinearKVCache` share.

    Any thread may call it, one call at a time: a second call while one is inside raises RuntimeError.
    """

    window: int | None = None

    def __init__(self, *, bits: int = 16, offset: int = 0, phase: float = 0.0, lazy: bool = False) -> None:
        self.bits = check_bits(type(self).__name__, "bits", bits)
        self._start = _check.integer(type(self).__name__, "offset", offset, 0)
        phase = _check.positive(type(self).__name__, "phase", phase, or_zero=True)
        if phase >= 1:
            raise _check.fail(type(self).__name__, "phase", "a number from 0 to below 1", phase)
        self._phase, self._lazy = phase, bool(lazy)
        self.inside = Exclusive(type(self).__name__)
        self.reset()

    def reset(self) -> None:
        """Forget every position; the next append may have another shape or dtype."""
        self._ring: mx.array | None = None
        self._size = 0  # the ring's present capacity
        self._ring_end = 0
        self._tail: tuple[mx.array, mx.array] | None = None
        self._tail_length = 0
        self._form: tuple[tuple[int, int, int], mx.Dtype] | None = None  # B, Hkv, D and dtype of what was appended
        self._commits = 0
        self._draft: Draft | None = None
        self._plans: Plans | None = None  # whose form the cache is known to have

    def __copy__(self) -> KVCache:
        """A cache with a ring of its own: one that is written in place must never be shared."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.inside = copy.copy(self.inside)
        twin._draft = None if self._draft is None else replace(self._draft, calls=[*self._draft.calls])
        if self._ring is not None:
            twin._ring = mx.concatenate([self._ring[:1], self._ring[1:]])
            mx.eval(twin._ring)
        return twin

    def __deepcopy__(self, memo: dict[int, object]) -> KVCache:
        return self.__copy__()

    @property
    def offset(self) -> int:
        """Absolute position of the next token."""
        return self._start + self._ring_end + self._tail_length

    def runs(self, length: int) -> list[tuple[int, int]]:
        """Position and number of the next ``length`` tokens."""
        return [(self.offset, length)]

    @property
    def nbytes(self) -> int:
        """Bytes that the cache holds."""
        return sum(a.nbytes for a in self._arrays())

    @property
    def state(self) -> list[mx.array]:
        """Arrays to give to ``mx.eval`` so that pending appends are done; empty for an empty cache.

        They hold no keys (they are of size 0): the ring itself never leaves the cache. See `keys_values` for the
        content.
        """
        return [a[..., :0] for a in self._arrays()]

    def keys_values(self) -> tuple[mx.array, mx.array] | None:
        """A copy of the keys and values still visible, oldest first, each ``[B, Hkv, N, D]``; None when empty."""
        with self.inside:
            return None if self.offset == self._start else self._copied()

    def _copied(self) -> tuple[mx.array, mx.array]:
        held: list[tuple[mx.array, mx.array]] = []
        if self._ring is not None and self._form is not None and self._ring_end:
            capacity = self._ring.shape[3]
            turn = self._ring_end % capacity if self._ring_end > capacity else 0
            rows = dequantised(*parts(self._ring)).astype(self._form[1]) if self.bits == 8 else self._ring
            used = rows[..., : min(self._ring_end, capacity), :]
            ordered = mx.concatenate([used[..., turn:, :], used[..., :turn, :]], axis=3)
            held.append((ordered[0], ordered[1]))
        if self._tail is not None:
            held.append(self._tail)
        k, v = (mx.concatenate([p[i] for p in held], axis=2) for i in (0, 1))
        keep = k.shape[2] if self.window is None else min(k.shape[2], self.window)
        k, v = (mx.array(a[:, :, a.shape[2] - keep :]) for a in (k, v))
        mx.eval(k, v)
        return k, v

    def append(self, k: mx.array, v: mx.array) -> None:
        """Take positions without attending, e.g. those of another cache's `keys_values`.

        Args:
            k: Keys, already rotated, ``[B, Hkv, L, D]``, float32, float16 or bfloat16.
            v: Values, shape and dtype of ``k``.

        Raises:
            ValueError: a shape or dtype differs from the above or from what the cache holds; the cache is unchanged.
        """
        op = type(self).__name__
        _check.floating(op, k=k, v=v)
        _check.ndim(op, "k", k, "[B, Hkv, L, D]")
        if min(k.shape) < 1:
            raise _check.fail(op, "k", "[B, Hkv, L, D], each at least 1", f"shape {k.shape}")
        _check.shape(op, "v", v, k.shape)
        _check.dtype(op, "v", v, k.dtype)
        self._refuse_infinite(op, k, v)
        with self.inside:
            self._appended(k, v)

    def _appended(self, k: mx.array, v: mx.array) -> None:
        r = self._request(k, k, v, 1.0)
        self._take(r.tail_k, r.tail_v, r.tail_k.shape[2])
        if self._draft is not None:
            self._note(k.shape[2])
        else:
            self._commit_appended()
            self._under_way()

    def _commit_appended(self) -> None:
        # A new ring: attention that is not computed yet still reads the old one.
        self._commit(lambda ring, k, v: reference.commit(ring, self._ring_end, k, v), None)

    def _arrays(self) -> list[mx.array]:
        return [a for a in (self._ring, *(self._tail or ())) if a is not None]

    def _capacity(self) -> int | None:
        return self.window

    def _request(
        self, q: mx.array, k: mx.array, v: mx.array, scale: float, stream: Stream = None
    ) -> SlidingWindowAttention:
        """The call with ``k`` and ``v`` behind the present tail; the cache is not changed."""
        self._agree((k.shape[0], k.shape[1], k.shape[3]), k.dtype)
        if self._tail is not None:
            k, v = select.run("kv_append", KvAppend(*self._tail, k, v), stream)
        ring = self._ring if self._ring_end else None
        return SlidingWindowAttention(q, ring, self._ring_end, k, v, self.window, scale)

    def _agree(self, sizes: tuple[int, int, int], dtype: mx.Dtype) -> None:
        """Refuse another B, Hkv, D or dtype than the cache holds."""
        if self._form is not None:
            if sizes != self._form[0]:
                raise _check.fail(OP, "k", f"B, Hkv, D = {self._form[0]} as the cache holds", sizes)
            if dtype != self._form[1]:
                raise _check.fail(OP, "k", _check.dtype_name(self._form[1]), _check.dtype_name(dtype))

    def _refuse_infinite(self, op: str, k: mx.array, v: mx.array) -> None:
        """A row of 8 bits has no infinity. This waits for the values; a model's own steps do not look."""
        if self.bits == 8:
            for name, a in (("k", k), ("v", v)):
                if not mx.isfinite(a).all().item():
                    raise _check.fail(op, name, "finite values for a cache of 8 bits", "an infinity or NaN")

    def _attend(
        self,
        plans: Plans,
        heads: Heads,
        qkv: tuple[mx.array, mx.array | None, mx.array | None],
        rotation: mx.array | None,
        window: int | None,
        scale: float,
    ) -> mx.array:
        """Append and attend below the public op: its checks were made when the plans were.

        Args:
            plans: For these rows, on the default stream.
            heads: What the attention is.
            qkv: The projections, as ``heads`` says.
            rotation: As for `RopeAppend`; None where ``heads`` does not rotate.
            window: That the caller means; None for the cache's.
            scale: Factor of the scores.

        Returns:
            Rows ``[B * L, Hq * D]``.
        """
        if window is not None and window != self.window:
            raise _check.fail(OP, "window", f"the cache's {self.window}", window)
        with self.inside:
            if plans is not self._plans:
                self._agree((plans.batch, heads.n_kv_heads, heads.dim), plans.dtype)
                self._plans = plans
            return self._attended(plans, heads, qkv, rotation, scale)

    def _attended(
        self, plans: Plans, heads: Heads, qkv: tuple[Any, Any, Any], rotation: mx.array | None, scale: float
    ) -> mx.array:
        tail, end, window = self._tail, self._ring_end, self.window
        ring = self._ring if end else None
        planned = plans.attentions.get(key := (heads, window, self._size if end else 0, self._tail_length, self.bits))
        append, attend, commit, backend = planned or plans.attention(*key)
        q, k, v = append(*qkv, rotation, *(tail or (None, None)), heads.n_heads, heads.n_kv_heads)
        out = attend(q, ring, end, k, v, window, scale, True)
        self._take(k, v, self._tail_length + plans.length)
        if self._draft is not None:
            self._note(plans.length, out, backend, commit)
        elif tail is None and backend.in_place:
            self._committed(commit(self._grown(k, end + plans.length), end, k, v, out))
            self._under_way()
        else:
            self._commit_when_due(plans.length, out if tail is None else None, backend, None)
        return out

    def _take(self, k: mx.array, v: mx.array, length: int) -> None:
        if self._draft is not None:
            self._draft.calls.append((self._tail_length, self._tail, self._draft.readers))
        self._tail, self._tail_length = (k, v), length
        if self._form is None:
            self._form = (k.shape[0], k.shape[1], k.shape[3]), k.dtype

    def _advance(self, r: SlidingWindowAttention, out: mx.array, backend: Backend, stream: Stream) -> None:
        """Take over the tail of an attended call, and commit it to the ring when it is long enough."""
        # In place nothing is gained by waiting. A tail from before this call was attended by calls that may not be
        # computed yet and still read the ring: then the commit makes a new ring.
        after = out if self._tail is None else None
        self._take(r.tail_k, r.tail_v, r.tail_k.shape[2])
        if self._draft is not None:
            self._note(r.q.shape[2], out, backend, None, stream)
            return
        self._commit_when_due(r.q.shape[2], after, backend, stream)

    def _commit_when_due(self, chunk: int, after: mx.array | None, backend: Backend, stream: Stream) -> None:
        if backend.in_place or self._tail_length >= self._tail_limit(chunk):
            self._commit(lambda ring, k, v: backend.commit(ring, self._ring_end, k, v, after, stream), stream)
        self._under_way()

    def _under_way(self) -> None:
        """MLX's streams belong to a thread: what this one leaves unscheduled, no other can compute."""
        if not self._lazy:
            mx.async_eval(self._arrays())

    def _tail_limit(self, chunk: int) -> int:
        """Tail length from which a commit copies least a token: ``sqrt(2 * capacity * chunk)``.

        ``phase`` brings the first commit forward, so that the layers of a model do not all commit in one step.
        """
        capacity = self._capacity() or max(GROWTH, self._ring_end)
        limit = max(1, math.isqrt(2 * capacity * chunk))
        return limit if self._commits else max(1, round(limit * (1 - self._phase)))

    def _commit(self, write: Write, stream: Stream) -> None:
        """Write the tail into the ring: ``write(ring, k, v)`` returns the ring that holds it."""
        assert self._tail is not None
        k, v = self._tail
        with contextlib.nullcontext() if stream is None else mx.stream(stream):
            self._committed(write(self._grown(k, self._ring_end + self._tail_length), k, v))

    def _committed(self, ring: mx.array) -> None:
        self._ring, self._size = ring, ring.shape[3]
        self._ring_end += self._tail_length
        self._tail, self._tail_length = None, 0
        self._commits += 1

    def _grown(self, like: mx.array, positions: int) -> mx.array:
        """The ring with room for this many positions, up to the capacity."""
        capacity = self._capacity()
        size = -(-positions // GROWTH) * GROWTH
        size = size if capacity is None else min(size, capacity)
        have = self._size
        if self._ring is not None and have >= size:
            return self._ring
        batch, kv_heads, _, dim = like.shape
        fresh = empty_ring((batch, kv_heads), size - have, dim, like.dtype, self.bits)
        return fresh if self._ring is None else grown(self._ring, fresh)
