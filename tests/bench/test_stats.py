"""The statistics on synthetic data whose truth is known."""

import math

import numpy as np
import pytest

from bench.measure.stats import CONFIDENCE, ratio


def interrupted(rng, n):
    """Every tenth measurement was disturbed."""
    return rng.normal(0, 0.01, n) + (rng.random(n) < 0.1) * rng.exponential(0.5, n)


# Noise of a timing, on the log scale: even, heavy-tailed, and one-sided as interruptions make it.
NOISES = {
    "normal": lambda rng, n: rng.normal(0, 0.05, n),
    "heavy tails": lambda rng, n: 0.03 * rng.standard_t(3, n),
    "one-sided": lambda rng, n: rng.exponential(0.05, n),
    "interrupted": interrupted,
}


# As many pairs as the suites take: the fewest allowed (where the interval is hardest to get right), which every run
# looks at, `realtime`, `cpu`, the op table, `compare`.
@pytest.mark.parametrize(
    ("pairs", "experiments"),
    [(5, 1000), *(pytest.param(n, 2000, marks=pytest.mark.soak) for n in (5, 7, 9, 15, 25))],
)
@pytest.mark.parametrize("noise", NOISES)
def test_interval_covers_the_truth_as_often_as_it_says(noise, pairs, experiments):
    """Within 3 points of nominal; the check's own error is 0.7 points with 1000 experiments, 0.5 with 2000."""
    rng = np.random.default_rng(7)
    truth, hits = 1.3 * math.exp(np.median(NOISES[noise](rng, 1_000_001))), 0
    for i in range(experiments):
        base = rng.lognormal(0, 0.3, pairs)  # drift of the machine, shared by the pair
        found = ratio(base * 1.3 * np.exp(NOISES[noise](rng, pairs)), base, seed=i)
        hits += found.low <= truth <= found.high
    assert abs(hits / experiments - CONFIDENCE) <= 0.03, hits / experiments


def test_drift_common_to_both_cancels():
    drift = np.exp(np.linspace(0, 3, 20))
    found = ratio(2 * drift, drift)
    assert (found.median, found.low, found.high) == pytest.approx((2, 2, 2))


def test_one_outlier_does_not_move_the_median():
    a = [1.0] * 19 + [100.0]
    assert ratio(a, [1.0] * 20).median == 1.0


def test_swapping_the_contenders_inverts_the_ratio():
    rng = np.random.default_rng(3)
    a, b = rng.lognormal(0, 0.2, 15), rng.lognormal(0.5, 0.2, 15)
    assert ratio(a, b).median == pytest.approx(ratio(b, a).inverse().median)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0] * 6, [1.0] * 5, "expected equally many, at least 5, got 6 and 5"),
        ([1.0] * 4, [1.0] * 4, "got 4 and 4"),
        ([0.0] * 5, [1.0] * 5, "expected positive values, got 0.0"),
    ],
)
def test_bad_input(a, b, message):
    with pytest.raises(ValueError, match=message):
        ratio(a, b)
