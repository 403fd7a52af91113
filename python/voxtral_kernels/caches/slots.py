"""Caches of several streams whose rings are one allocation: rows of all of them are attended in one call."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from .. import _check
from .._exclusive import Exclusive
from ..backends.plan import Heads, Plans
from ..backends.select import Backend
from ..reference import ring as rings
from ..reference import streams as reference
from ..reference.sliding_window_attention import SlidingWindowAttention
from . import together
from .bits import check_bits
from .kv_cache import GROWTH, OP, KVCache
from .pending import Stream
from .ring import RingKVCache


class RingSlots:
    """The rings of several streams side by side: `sliding_window_attention` takes rows of all of them in one call.

    ::

        slots = vk.RingSlots(window=750)
        one, another = slots.take(), slots.take()
        out = vk.sliding_window_attention(q, k, v, cache=[one, another])  # q: [2, Hq, L, D], a stream each

    Each stream stands at its own position. There is one array for all: as many slots as were ever taken at once, each
    as long as the longest stream needs it. It is freed with the last stream.

    Args:
        window, bits, lazy: As for `RingKVCache`; of every stream.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, window: int, *, bits: int = 16, lazy: bool = False) -> None:
        self.window = _check.integer("RingSlots", "window", window, 1)
        self.bits = check_bits("RingSlots", "bits", bits)
        self.lazy = bool(lazy)
        self.inside = Exclusive("RingSlots")
        self._changes = threading.Lock()  # of who has which slot: streams come while others are in a call
        self._caches: weakref.WeakValueDictionary[int, SlotKVCache] = weakref.WeakValueDictionary()
        self._empty()

    def _empty(self) -> None:
        self._ring: mx.array | None = None
        self._high = 0  # slots that were ever taken at once
        self._form: tuple[int, int, mx.Dtype] | None = None  # Hkv, D and dtype of what is appended
        self._plans: set[Plans] = set()  # whose form that is known to be

    @property
    def streams(self) -> int:
        """How many slots are taken."""
        return len(self._caches)

    @property
    def nbytes(self) -> int:
        """Bytes of the rings of all streams."""
        return 0 if self._ring is None else self._ring.nbytes

    def take(self, *, offset: int = 0, phase: float = 0.0) -> SlotKVCache:
        """The cache of a new stream.

        Args:
            offset, phase: As for `RingKVCache`.

        Raises:
            ValueError: an argument is out of its range.
        """
        with self._changes:
            taken = set(self._caches)
            if not taken:  # the last ones were not given back, but lost
                self._empty()
            slot = next(i for i in range(len(taken) + 1) if i not in taken)
            cache = self._caches[slot] = SlotKVCache(self, slot, offset, phase)
            self._high = max(self._high, slot + 1)
        return cache

    def _give_back(self, slot: int) -> None:
        with self.inside, self._changes:
            self._caches.pop(slot, None)
            if not self._caches:
                self._empty()

    def _agree(self, kv_heads: int, dim: int, dtype: mx.Dtype) -> None:
        """Refuse another Hkv, D or dtype than the slots hold."""
        if self._form is not None and self._form != (kv_heads, dim, dtype):
            heads, width, held = self._form
            expected = f"Hkv, D = {heads, width} in {_check.dtype_name(held)} as the slots hold"
            raise _check.fail(OP, "k", expected, f"{kv_heads, dim} in {_check.dtype_name(dtype)}")

    def _grown(self, like: mx.array, positions: int) -> mx.array:
        """The rings with room for this many positions each, up to the window, and for every slot that is taken.

        Args:
            like: Rows ``[T, Hkv, 1, D]``.
        """
        ring, (_, kv_heads, _, dim) = self._ring, like.shape
        size = min(-(-positions // GROWTH) * GROWTH, self.window)
        slots = self._high
        if ring is None:
            return rings.empty_ring((slots, kv_heads), size, dim, like.dtype, self.bits)
        have = ring.shape[1]
        if slots > have:
            fresh = rings.empty_ring((slots - have, kv_heads), ring.shape[3], dim, like.dtype, self.bits)
            ring = rings.side_by_side([ring, fresh])
        if size > ring.shape[3]:
            fresh = rings.empty_ring((ring.shape[1], kv_heads), size - ring.shape[3], dim, like.dtype, self.bits)
            ring = rings.grown(ring, fresh)
        return ring


class SlotKVCache(RingKVCache):
    """The cache of one stream of `RingSlots`, from its ``take``: a `RingKVCache` in which nothing is held back.

    `release` gives the slot back; a cache that nobody has any more has none.
    """

    def __init__(self, slots: RingSlots, slot: int, offset: int, phase: float) -> None:
        super().__init__(slots.window, bits=slots.bits, offset=offset, phase=phase, lazy=slots.lazy)
        self.slots, self.slot = slots, slot
        self.inside = slots.inside
        self.released = False

    @property
    def nbytes(self) -> int:
        """Bytes that the stream holds: its share of the rings, and its tail."""
        ring = self.slots._ring
        share = 0 if ring is None or self.released or not self._ring_end else ring.nbytes // ring.shape[1]
        return share + sum(a.nbytes for a in self._tail or ())

    def release(self) -> None:
        """Give the slot back, whatever it holds; may be called again. Any other call is refused from here on.

        Raises:
            RuntimeError: another call is inside one of the streams' caches.
        """
        if not self.released:
            self.slots._give_back(self.slot)
            self.released = True
            self.reset()

    def hold(self) -> None:
        """Refused: what shares its allocation with others reaches the ring at once.

        Raises:
            ValueError: always.
        """
        raise _check.fail("RingSlots", "hold", "a RingKVCache, whose positions may be withdrawn", "a slot")

    def __copy__(self) -> KVCache:
        """A `RingKVCache` of what the stream holds."""
        twin = RingKVCache(self.window, bits=self.bits, offset=self._start, phase=self._phase, lazy=self._lazy)  # type: ignore[arg-type]
        twin._ring_end, twin._tail, twin._tail_length = self._ring_end, self._tail, self._tail_length
        twin._commits, form = self._commits, self.slots._form
        twin._form = None if form is None else ((1, *form[:2]), form[2])
        if self._ring_end and self.slots._ring is not None:
            ring = rings.slot(self.slots._ring, self.slot)
            twin._ring = mx.concatenate([ring[:1], ring[1:]])
            twin._size = ring.shape[3]
            mx.eval(twin._ring)
        return twin

    def _copied(self) -> tuple[mx.array, mx.array]:
        return self.__copy__()._copied()

    def _arrays(self) -> list[mx.array]:
        return [] if self.released else [a for a in (self.slots._ring, *(self._tail or ())) if a is not None]

    def _appended(self, k: mx.array, v: mx.array) -> None:
        r = together.request([self], k, k, v, 1.0)
        self.slots._form = k.shape[1], k.shape[3], k.dtype
        together.take([self], k.shape[2], r.tail_k, r.tail_v)
        self._commit_appended()
        self._under_way()

    def _request(
        self, q: mx.array, k: mx.array, v: mx.array, scale: float, stream: Stream = None
    ) -> SlidingWindowAttention:
        return together.request([self], q, k, v, scale)

    def _advance(self, r: SlidingWindowAttention, out: mx.array, backend: Backend, stream: Stream) -> None:
        together.advance([self], r, out, backend, stream)

    def _attend(
        self,
        plans: Plans,
        heads: Heads,
        qkv: tuple[Any, ...],
        rotation: mx.array | None,
        window: int | None,
        scale: float,
    ) -> mx.array:
        """As `KVCache._attend`, of this stream alone."""
        n_heads, n_kv_heads, dim = heads[:3]
        q, k, v = plans.heads(heads)(*qkv, rotation, None, None, n_heads, n_kv_heads)
        made = Heads(n_heads, n_kv_heads, dim, packed=False, rotates=False)
        if plans.length > 1:
            k, v = (a.transpose(2, 1, 0, 3) for a in (k, v))
        return together.attend([self], plans, made, q, k, v, window, scale)

    def _commit(self, write: Any, stream: Stream) -> None:
        """Write the tail into the ring: ``write(ring, k, v)`` of rows returns the rings that hold it."""
        assert self._tail is not None
        k, v = (a.transpose(2, 1, 0, 3) for a in self._tail)
        with contextlib.nullcontext() if stream is None else mx.stream(stream):
            self._committed(write(self.slots._grown(k, self._ring_end + self._tail_length), k, v))

    def _commit_appended(self) -> None:
        self._commit(lambda ring, k, v: reference.commit(ring, self._where(), k, v), None)

    def _commit_when_due(self, chunk: int, after: mx.array | None, backend: Backend, stream: Stream) -> None:
        if self._due(chunk, backend):
            where = self._where()
            self._commit(lambda ring, k, v: backend.commit(ring, 0, k, v, after, stream, where), stream)

    def _due(self, chunk: int, backend: Backend) -> bool:
        return backend.in_place or self._tail_length >= self._tail_limit(chunk)

    def _where(self) -> mx.array:
        """Where the tail belongs, as a table of one."""
        return reference.table(((self.slot, self._ring_end, 0, self._tail_length),))

    def _committed(self, ring: mx.array) -> None:
        self.slots._ring = ring
        self._moved(self._tail_length)
        self._tail, self._tail_length = None, 0

    def _moved(self, positions: int) -> None:
        self._ring_end += positions
        self._commits += 1


def checked(caches: Sequence[object]) -> list[SlotKVCache]:
    """Caches of different streams of one `RingSlots`.

    Raises:
        ValueError: they are something else.
    """
    found = [c for c in caches if isinstance(c, SlotKVCache)]
    expected = "caches of different streams of one RingSlots"
    if not found or len(found) < len(caches):
        raise _check.fail(OP, "cache", expected, ", ".join(sorted({type(c).__name__ for c in caches})) or "none")
    if any(c.slots is not found[0].slots for c in found):
        raise _check.fail(OP, "cache", expected, "those of several")
    if len({id(c) for c in found}) < len(found):
        raise _check.fail(OP, "cache", expected, "one twice")
    return found
