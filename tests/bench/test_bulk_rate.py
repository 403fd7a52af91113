"""The rate of a bulk worker, by when each of its shards was done."""

import pytest

from bench.suites.bulk import _rate


def test_the_first_shard_starts_the_clock():
    assert _rate([(100.0, 9.0), (102.0, 8.0), (104.0, 12.0)]) == pytest.approx(5.0)


def test_one_shard_has_no_rate():
    with pytest.raises(RuntimeError, match="at least two shards for each worker, got one"):
        _rate([(100.0, 9.0)])
