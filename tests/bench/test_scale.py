"""The simulation of many machines, held against what can be said without it."""

from dataclasses import replace

import numpy as np
import pytest

from bench.suites.scale import KEPT, Assumed, Measured, points, simulate

ROWS = [{"duration_s": s, "seconds": 0.5 + 0.1 * s} for s in (1.0, 5.0, 60.0, 600.0)]
WORK = np.random.default_rng(0).exponential(100, 400)
CALM = Assumed(start_s=0).perfect


def test_the_line_through_the_measured_recordings():
    measured = Measured.of(ROWS)
    assert (measured.base_s, measured.rate) == pytest.approx((0.5, 0.1))
    assert measured.noise == pytest.approx([1] * 4)
    work = measured.archive(Assumed(hours=100), seed=3)
    assert work.sum() == pytest.approx(0.5 * len(work) + 0.1 * 100 * 3600)
    assert (work == measured.archive(Assumed(hours=100), seed=3)).all()


@pytest.mark.parametrize("machines", [1, 7, 64])
def test_alike_machines_that_never_fail_split_the_work(machines):
    seconds, failures = simulate(WORK, machines, 1, CALM, 0)
    assert failures == 0
    # Graham's bound of handing out in order.
    assert WORK.sum() / machines <= seconds + 1e-6 <= WORK.sum() / machines + WORK.max() + 1e-6


def test_slow_machines_get_less():
    slow = replace(CALM, slow=0.5, factor=3.0)
    seconds, _ = simulate(WORK, 40, 1, slow, 1)
    n = (np.random.default_rng(1).random(40) < 0.5).sum()
    best = WORK.sum() / (40 - n + n / 3)
    assert 0 < n < 40
    assert best <= seconds <= best + 3 * WORK.max()


def test_failures_cost_what_they_lose():
    failing = replace(CALM, mtbf_h=0.5, down_s=60)
    seconds, failures = simulate(WORK, 1, 16, failing, 2)
    whole, more = simulate(WORK, 1, 16, replace(failing, journal=False), 2)
    assert more >= failures > 5
    lost = seconds - WORK.sum() - 60 * failures
    assert 0 < lost < failures * WORK.max()
    assert whole > seconds
    assert (seconds, failures) == simulate(WORK, 1, 16, failing, 2)


def test_the_kept_figures_give_a_table():
    import json

    measured = Measured.of(json.loads(KEPT.read_text())["rows"])
    assert 0 < measured.rate < 10
    found = points(measured, Assumed(hours=20), shards=(4,))
    assert all(p.perfect < p.hours[1] <= p.hours[0] <= p.hours[2] for p in found)
