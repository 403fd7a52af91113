"""Median of paired log-ratios with a bootstrap interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """``a / b`` as a factor, with its interval."""

    median: float
    low: float
    high: float

    def inverse(self) -> Ratio:
        """``b / a``."""
        return Ratio(1 / self.median, 1 / self.high, 1 / self.low)

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


def ratio(a: Sequence[float], b: Sequence[float], *, seed: int = 0) -> Ratio:
    """The median of ``a[i] / b[i]`` and its 95 % interval.

    The ratios are taken on the log scale, so that ``ratio(a, b)`` is exactly ``ratio(b, a).inverse()`` up to the
    resampling; the interval is the percentile bootstrap of the median (Efron & Tibshirani 1993).

    Args:
        a, b: Paired positive measurements, equally many, at least 5.
        seed: Of the resampling.

    Raises:
        ValueError: the lengths differ, there are fewer than 5, or a value is not positive.
    """
    if len(a) != len(b) or len(a) < 5:
        raise ValueError(f"[ratio] a, b: expected equally many, at least 5, got {len(a)} and {len(b)}.")
    if min(*a, *b) <= 0:
        raise ValueError(f"[ratio] a, b: expected positive values, got {min(*a, *b)}.")
    logs = np.log(np.asarray(a, float)) - np.log(np.asarray(b, float))
    middle = float(np.median(logs))
    if np.ptp(logs) == 0:
        return Ratio(math.exp(middle), math.exp(middle), math.exp(middle))
    interval = stats.bootstrap(
        (logs,),
        np.median,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Ratio(math.exp(middle), math.exp(interval.low), math.exp(interval.high))
