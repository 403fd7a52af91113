"""Passes of a decoder over several rows: what they take on this machine, and how a draft is verified in one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import mlx.core as mx

from ..backends import select
from ..caches import KVCache

# Rows that are timed; PLAIN: a step whose token is read while the next one is computed.
PLAIN = 0
SIZES = (1, 2, 4, 8, 16)
MOST = SIZES[-1]
# Fewer plain steps than this in a row are not timed.
LEAST = 8
# What a further row adds to a pass, as long as nothing was timed.
_ROW = 0.03
# A size is timed again, in turn, after so many passes: one that was disturbed is never chosen by itself.
_RENEWED = 48
# Newest times that count.
_TIMES = 7


class Costs:
    """Seconds of a pass by its rows, timed as passes are made."""

    def __init__(self) -> None:
        self._seen: set[int] = {PLAIN}
        self._times: dict[int, deque[float]] = {}
        self._known: dict[int, float] = {}
        self._asked: dict[int, float] = {}
        self._noted, self._again = 0, PLAIN  # calls of `note`; a size to time again

    def note(self, rows: int, seconds: float) -> None:
        """A pass took so long; the first of a size plans too, and is not counted."""
        if rows not in self._seen:
            self._seen.add(rows)
            return
        self._noted += 1
        if rows == self._again:
            self._again = PLAIN
        if self._noted % _RENEWED == 0:
            self._again = SIZES[self._noted // _RENEWED % len(SIZES)]
        times = self._times.setdefault(rows, deque(maxlen=_TIMES))
        times.append(seconds)
        self._known[rows] = min(times)  # whatever else runs here only adds
        self._asked.clear()

    def wanted(self, rows: int) -> int | None:
        """A size up to these rows that was not timed yet, or not for long; None: there is none."""
        for size in (1, PLAIN, *SIZES[1:]):
            if size not in self._known and rows >= (size or LEAST):
                return size
        return self._again if PLAIN < self._again <= rows else None

    def times(self) -> dict[int, float]:
        """Seconds by rows, of what was timed."""
        return {rows: self._known[rows] for rows in sorted(self._known) if rows != PLAIN}

    def __call__(self, rows: int) -> float:
        """Seconds; shares of one row's while nothing was timed."""
        found = self._asked.get(rows)
        if found is None:
            found = self._asked[rows] = self._estimate(rows)
        return found

    def _estimate(self, rows: int) -> float:
        known = self._known
        if rows == PLAIN:
            return known[PLAIN] if PLAIN in known else self(1)
        # A pass over more rows takes no less: what is above that was disturbed.
        most = min((seconds for size, seconds in known.items() if size >= rows), default=float("inf"))
        return min(most, self._between(rows))

    def _between(self, rows: int) -> float:
        known = self._known
        if rows in known:
            return known[rows]
        timed = sorted(size for size in known if size)
        if not timed:
            return 1 + _ROW * (rows - 1)
        below = max((size for size in timed if size < rows), default=0)
        above = min((size for size in timed if size > rows), default=0)
        if below and above:
            return known[below] + (known[above] - known[below]) * (rows - below) / (above - below)
        near = below or above
        return known[near] * (1 + _ROW * (rows - 1)) / (1 + _ROW * (near - 1))


class CostTable:
    """`Costs` in each context of choices; the streams of a model share them."""

    def __init__(self) -> None:
        self._by: dict[object, Costs] = {}

    def here(self) -> Costs:
        """As the device and the backend asked for by name are now."""
        return self._by.setdefault(select.context(), Costs())


def verified(run: Callable[[mx.array], mx.array], caches: Sequence[KVCache], tokens: Sequence[int]) -> list[int]:
    """One pass over a known token and a draft behind it; the caches go on behind what the model said too.

    Args:
        run: Ids ``[1, n]`` to the likeliest token behind each, ``[1, n]``; it appends n positions to the caches.
        caches: Of every layer.
        tokens: The newest token, then the draft.

    Returns:
        The tokens that the model says: the part of the draft that it agrees with, and one more.
    """
    if len(tokens) == 1:
        return _read(run, tokens)
    for cache in caches:
        cache.hold()
    try:
        said = _read(run, tokens)
        right = 0
        while right < len(tokens) - 1 and said[right] == tokens[right + 1]:
            right += 1
        withdrawn = len(tokens) - 1 - right
    except BaseException:
        # Whatever ends a pass, the caches are where they were.
        for cache in caches:
            cache.rollback(cache.pending)
            cache.accept()
        raise
    for cache in caches:
        cache.rollback(withdrawn)
        cache.accept()
    return said[: right + 1]


def _read(run: Callable[[mx.array], mx.array], tokens: Sequence[int]) -> list[int]:
    said: list[int] = run(mx.array([tokens])).reshape(-1).tolist()  # type: ignore[assignment]
    return said
