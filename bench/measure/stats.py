"""Median of paired log-ratios with a smoothed bootstrap interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 1000


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
    resampling. The interval is the percentile bootstrap of the median, smoothed (Silverman & Young 1987): plain
    resampling can only return some of the few values measured, and with 7 or 15 pairs covers the truth too seldom.

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
    rng = np.random.default_rng(seed)
    quartiles = np.quantile(logs, [0.25, 0.75])
    # Silverman's rule of thumb for the width of the kernel; the quartiles are blind to outliers.
    spread = min(logs.std(ddof=1), np.ptp(quartiles) / 1.349)
    noise = 0.9 * spread * len(logs) ** -0.2 * rng.standard_normal((RESAMPLES, len(logs)))
    resampled = logs[rng.integers(0, len(logs), (RESAMPLES, len(logs)))] + noise
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.median(resampled, axis=1), [tail, 1 - tail])
    # With ties the smoothing may not reach the median itself.
    return Ratio(math.exp(middle), math.exp(min(low, middle)), math.exp(max(high, middle)))
