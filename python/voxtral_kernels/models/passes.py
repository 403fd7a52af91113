"""Passes of a decoder over several rows: what they take on this machine, and how a draft is verified in one."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import median

import mlx.core as mx
import numpy as np

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
# Plain steps between two looks at whether drafts pay again.
STRETCH = 16
# Rounds at first, those that count, and passes between two later ones; less between the first of these.
_FIRST, _ROUNDS, _RENEWED = 3, 7, 256
# How far from the line through all sizes what was timed of one may be, as a factor.
_NEAR = 1.25


class Costs:
    """What a pass takes by its rows, in plain steps.

    Machines change their clock, and others use them. So times are only compared within a round: plain steps and two
    passes of each size, one behind the other. Of the rounds the median counts, near the line through all sizes: no time
    by itself decides anything.
    """

    def __init__(self) -> None:
        self._seen: set[int] = {PLAIN}
        self._rounds: deque[dict[int, float]] = deque([{}], maxlen=_ROUNDS)  # least seconds by rows
        self._times: Counter[int] = Counter()  # passes timed in this round
        self._lacking = [PLAIN, *SIZES]  # sizes that it is without
        self._begun = 1  # rounds
        self._noted = 0  # passes since the last one began
        self._table: list[float] = []

    def note(self, rows: int, seconds: float) -> None:
        """A pass took so long; the first of a size plans too, and is not counted."""
        self._noted += 1 if rows else STRETCH // 4  # where drafts do not pay, rounds only cost
        if rows not in self._seen:
            self._seen.add(rows)
        elif rows in self._lacking:
            self._times[rows] += 1
            self._rounds[-1][rows] = min(seconds, self._rounds[-1].get(rows, seconds))
            self._table = []
            # A pass that was disturbed took longer; plain steps come as the median of several.
            if self._times[rows] == (1 if rows == PLAIN else 2):
                self._lacking.remove(rows)

    def wanted(self, rows: int) -> int | None:
        """A size up to these rows that this round is without; None: there is none, or no round is on."""
        missing = self._missing(rows)
        if missing is None and self._noted >= (0 if self._begun < _FIRST else min(_RENEWED, 8 << self._begun)):
            self._rounds.append({})
            self._begun, self._noted = self._begun + 1, 0
            self._times.clear()
            self._lacking = [PLAIN, *SIZES]
            missing = self._missing(rows)
        return missing

    def _missing(self, rows: int) -> int | None:
        for size in self._lacking:
            if rows >= (size or LEAST):
                return size
        return None

    def times(self) -> dict[int, float]:
        """Seconds by rows, of what was timed; the least."""
        return {size: min(r[size] for r in self._rounds if size in r) for size in SIZES if self._share(size, size)}

    def __call__(self, rows: int) -> float:
        """Of a pass of at most `MOST` rows, or of a plain step."""
        if not self._table:
            self._table = self._shares()
        return self._table[rows]

    def _shares(self) -> list[float]:
        one = self._share(1, PLAIN) or 1.0
        found = {size: self._share(size, PLAIN) or one * self._share(size, 1) for size in SIZES[1:]}
        known = {1: one} | {size: share for size, share in found.items() if share}
        # Rows cost about alike: what is far from the line through all was disturbed. n rows cost less than n passes.
        rises = [(b - a) / (m - n) for (n, a), (m, b) in combinations(known.items(), 2)]
        rise = min(max(median(rises), 0.0), one) if rises else _ROW * one
        start = median(share - rise * size for size, share in known.items())
        line = {size: start + rise * size for size in SIZES}
        near = [min(max(known.get(n, line[n]), line[n] / _NEAR), line[n] * _NEAR) for n in SIZES]
        # Nor is any pass less than a plain step, whatever disturbed that: drafts that bring nothing would never end.
        return [1.0, *np.interp(range(1, MOST + 1), SIZES, np.maximum.accumulate([1.0, *near])[1:]).tolist()]

    def _share(self, size: int, of: int) -> float:
        """A pass of a size in passes of another one, by the rounds that have both; 0 where there is none."""
        shares = sorted(r[size] / r[of] for r in self._rounds if size in r and of in r)
        return shares[(len(shares) - 1) // 2] if shares else 0.0


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
    return _list(run(mx.array([tokens])))


def _list(ids: mx.array) -> list[int]:
    """Of ``[1, n]``."""
    values: list[list[int]] = ids.tolist()  # type: ignore[assignment]
    return values[0]


class Chain:
    """Passes over drafts, each made while the one before it runs.

    To make a pass takes the host about as long as a small one runs. Behind a draft that is probably right the next one
    is made at once, on the token that is still being computed; where the draft was wrong, it never was.

    Args:
        run: Ids ``[1, n]``, where the first one stands, and whether no pass runs and this one surely does, to the
            likeliest token behind each, ``[1, n]``, and whatever else is said of each, ``[1, n]`` each; it appends n
            positions to the caches.
        caches: Of every layer. Between two calls they go on behind what was read; `end` accepts that.
    """

    # Positions that may wait in the caches' tails.
    _MOST = 2 * MOST

    def __init__(self, run: Callable[[mx.array, int, bool], Sequence[mx.array]], caches: Sequence[KVCache]) -> None:
        self._run, self._caches = run, caches
        self._at = 0  # where the first pass stands
        self._read, self._calls = 0, 0  # positions, and passes they came in
        self._running: tuple[Sequence[mx.array], Sequence[int]] | None = None
        self._next: tuple[Sequence[mx.array], Sequence[int]] | None = None

    def __bool__(self) -> bool:
        """A pass runs."""
        return self._running is not None

    def begin(self, token: int, draft: Sequence[int], at: int = 0) -> None:
        """The first pass, over a known token, which stands at ``at``, and a draft behind it; none may run."""
        self._at, self._read, self._calls = at, 0, 0
        for cache in self._caches:
            cache.hold()
        self._start(self._run(mx.array([[token, *draft]]), at, True), draft)

    def follow(self, draft: Sequence[int]) -> None:
        """Make the pass for when all of the running one's draft is right; ``draft`` follows the token behind that."""
        assert self._running is not None
        said, before = self._running
        ahead = self._read + len(before) + 1
        if ahead + len(draft) < self._MOST:
            ids = said[0][:, -1:]
            if draft:
                ids = mx.concatenate([ids, mx.array([draft], ids.dtype)], axis=1)
            self._next = self._run(ids, self._at + ahead, False), draft

    def read(self) -> tuple[list[int], list[list[int]]]:
        """What the model says: the part of the running draft that it agrees with, and one more.

        And what ``run`` gave of each token behind that, a list of each array; it rests on a token that is wrong.
        """
        assert self._running is not None
        arrays, draft = self._running
        said, *others = (_list(array) for array in arrays)
        right = 0
        while right < len(draft) and said[right] == draft[right]:
            right += 1
        self._read, self._calls, self._running = self._read + right + 1, self._calls + 1, None
        following, self._next = self._next, None
        if following is not None and right == len(draft):
            self._start(*following)
        else:
            self.end()
        return said[: right + 1], [values[right + 1 :] for values in (said, *others)]

    def end(self) -> None:
        """What was not read never came; whatever ends a chain, its caches are behind what was read."""
        started = self._calls + (self._running is not None)
        self._running = self._next = None
        for cache in self._caches:
            cache._keep(started, self._read)

    def _start(self, said: Sequence[mx.array], draft: Sequence[int]) -> None:
        mx.async_eval(*said)
        self._running = said, draft
