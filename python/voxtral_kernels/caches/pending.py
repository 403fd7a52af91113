"""Positions of a cache that may be withdrawn: they stay in the tail, out of the ring, until they are accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import mlx.core as mx

from .. import _check
from .._exclusive import Exclusive
from ..backends.select import Backend

Stream = mx.Stream | mx.Device | None
# ``(ring, k, v)`` to the ring that holds them.
Write = Callable[[mx.array, mx.array, mx.array], mx.array]


@dataclass
class Draft:
    """What is held back.

    Args:
        known: Every attention that may still read the ring is among ``readers``.
        length: Positions that may be withdrawn.
        calls: Before each call since `hold`: the tail's length, the tail, and the readers.
        readers: The newest attention; it is computed after all others since the ring was written. None: there is none.
        backend: Of that attention.
        write: ``(ring, start, k, v, after)``: the same as its commit on the stream of that call.
        stream: Of that call.
    """

    known: bool
    length: int = 0
    calls: list[tuple[int, tuple[mx.array, mx.array] | None, mx.array | None]] = field(default_factory=list)
    readers: mx.array | None = None
    backend: Backend | None = None
    write: Callable[..., mx.array] | None = None
    stream: Stream = None


class Pending:
    """The part of a cache that takes positions back."""

    inside: Exclusive
    _ring_end: int
    _tail: tuple[mx.array, mx.array] | None
    _tail_length: int
    _draft: Draft | None

    @property
    def pending(self) -> int:
        """Newest positions that `rollback` may withdraw: those appended since `hold`."""
        return 0 if self._draft is None else self._draft.length

    def hold(self) -> None:
        """What is appended from here on can be withdrawn by `rollback`, until `accept`.

        It is attended like any other position, and stays in a tail in its own dtype; nothing of it reaches the ring.
        """
        with self.inside:
            if self._draft is None:
                # Attention over a tail from before may not be computed yet, and nobody noted it.
                self._draft = Draft(known=self._tail is None)

    def rollback(self, n: int) -> None:
        """Withdraw the newest positions: the cache is as if they had never come.

        Args:
            n: How many, from 0 to `pending`.

        Raises:
            ValueError: more than may be withdrawn, or no number; the cache is unchanged.
            RuntimeError: another call is inside the cache, which is unchanged then.
        """
        op = type(self).__name__
        n = _check.integer(op, "n", n, 0)
        with self.inside:
            if n > self.pending:
                expected = f"at most {self.pending}, the positions appended since hold() and not yet accepted"
                raise _check.fail(op, "n", expected, n)
            if self._draft is not None:
                self._withdraw(self._draft, n)

    def accept(self) -> None:
        """What was appended since `hold` stays for good; it may reach the ring from here on."""
        with self.inside:
            self._accept()

    def _keep(self, calls: int, positions: int) -> None:
        """Of what so many calls since `hold` appended, so many positions stay for good; all else never came.

        Args:
            calls: What later ones gave is not computed, now or ever.
            positions: At most as many as those calls appended; where they appended fewer, all stay.
        """
        with self.inside:
            draft = self._draft
            if draft is None:
                return
            while len(draft.calls) > calls:
                length, self._tail, draft.readers = draft.calls.pop()
                draft.length -= self._tail_length - length
                self._tail_length = length
            self._withdraw(draft, draft.length - positions)
            self._accept()

    def _withdraw(self, draft: Draft, n: int) -> None:
        if n <= 0 or self._tail is None:
            return
        draft.length -= n
        draft.calls.clear()
        self._tail_length -= n
        k, v = self._tail
        self._tail = (k[:, :, : self._tail_length], v[:, :, : self._tail_length]) if self._tail_length else None
        if self._tail is None and draft.readers is not None:
            # The next commit, which may be in place, knows of no attention before its own.
            mx.eval(draft.readers)
            draft.readers = None

    def _accept(self) -> None:
        draft, self._draft = self._draft, None
        if draft is not None and draft.length and self._tail is not None:
            self._settle(draft)

    def _settle(self, draft: Draft) -> None:
        # When it is due, and what a ring of 8 bits rounds, depends on what stays alone.
        chunk, end = draft.length, self._ring_end
        after, backend, write = draft.readers if draft.known else None, draft.backend, draft.write
        if backend is None:
            self._commit_appended()
        elif after is None or write is None:
            self._commit_when_due(chunk, after, backend, draft.stream)
        elif backend.in_place or self._tail_length >= self._tail_limit(chunk):
            self._commit(lambda ring, k, v: write(ring, end, k, v, after), draft.stream)
        self._under_way()

    def _note(
        self,
        chunk: int,
        out: mx.array | None = None,
        backend: Backend | None = None,
        write: Callable[..., mx.array] | None = None,
        stream: Stream = None,
    ) -> None:
        """A call while positions are held, its attention if it was one."""
        draft = self._draft
        assert draft is not None
        draft.length += chunk
        if out is not None:
            earlier = draft.readers
            draft.readers = out if earlier is None else mx.depends([out], [earlier])[0]
            draft.backend, draft.write, draft.stream = backend, write, stream
        self._under_way()

    def _commit(self, write: Write, stream: Stream) -> None:
        raise NotImplementedError

    def _commit_appended(self) -> None:
        raise NotImplementedError

    def _commit_when_due(self, chunk: int, after: mx.array | None, backend: Backend, stream: Stream) -> None:
        raise NotImplementedError

    def _tail_limit(self, chunk: int) -> int:
        raise NotImplementedError

    def _under_way(self) -> None:
        raise NotImplementedError
