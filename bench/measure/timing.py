"""Paired timing: two contenders in one process, in ABBA order, so that drift of the machine falls on both alike."""

from __future__ import annotations

import abc
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx


class Building(abc.ABC):
    """Work that builds a graph which is never evaluated: only its own processor time counts."""

    @abc.abstractmethod
    def __call__(self) -> Any:
        """Build."""

    @abc.abstractmethod
    def context(self) -> contextlib.AbstractContextManager[Any]:
        """What holds during the calls."""

    @abc.abstractmethod
    def settle(self) -> None:
        """What comes between two calls, untimed."""

    def seconds(self, repeats: int) -> float:
        """Processor time of this thread a call; the first call is not timed."""
        total = 0
        with self.context():
            for i in range(repeats + 1):
                start = time.thread_time_ns()
                self()
                total += i and time.thread_time_ns() - start
                self.settle()
        return total / repeats / 1e9


Work = Callable[[], Any] | Building


@dataclass(frozen=True)
class Pairs:
    """Seconds an evaluation, one entry a block of the ABBA order; `a[i]` and `b[i]` stand beside each other in time."""

    a: list[float]
    b: list[float]


def evaluate(work: Work, repeats: int) -> float:
    """Seconds an evaluation over ``repeats`` of them, each waited for."""
    if isinstance(work, Building):
        return work.seconds(repeats)
    start = time.perf_counter()
    for _ in range(repeats):
        result = work()
        if result is not None:
            mx.eval(result)
    return (time.perf_counter() - start) / repeats


def repeats_for(work: Work, seconds: float) -> int:
    """Evaluations that fill a sample of about this length, after a warm-up; at least 1."""
    first = evaluate(work, 1)
    if first > seconds:
        return 1
    return max(1, int(seconds / max(evaluate(work, 2), 1e-7)))


def paired(a: Work, b: Work, *, blocks: int = 15, sample_seconds: float = 0.01, longest: float = 20.0) -> Pairs:
    """Time ``a`` and ``b`` in ABBA blocks: a, b, b, a; the block's figure for each is the mean of its two samples.

    Args:
        a, b: Contenders; what they return is evaluated by ``mx.eval`` (None: the call itself is the work).
        blocks: Blocks of four samples.
        sample_seconds: Aimed length of one sample; short work is evaluated several times in it.
        longest: Seconds in all beyond which slow work gets fewer blocks, 5 at least.
    """
    repeats_a, repeats_b = repeats_for(a, sample_seconds), repeats_for(b, sample_seconds)
    one_block = 2 * (evaluate(a, 1) * repeats_a + evaluate(b, 1) * repeats_b)
    blocks = min(blocks, max(5, int(longest / one_block)))
    times: Pairs = Pairs([], [])
    for _ in range(blocks):
        a1, b1 = evaluate(a, repeats_a), evaluate(b, repeats_b)
        b2, a2 = evaluate(b, repeats_b), evaluate(a, repeats_a)
        times.a.append((a1 + a2) / 2)
        times.b.append((b1 + b2) / 2)
    return times


def single(work: Work, *, samples: int = 15, sample_seconds: float = 0.01, longest: float = 10.0) -> list[float]:
    """Seconds an evaluation, one entry a sample; work so slow that it would take over ``longest`` gets fewer."""
    start = time.perf_counter()
    repeats = repeats_for(work, sample_seconds)
    times: list[float] = []
    while len(times) < samples and (not times or time.perf_counter() - start < longest):
        times.append(evaluate(work, repeats))
    return times
