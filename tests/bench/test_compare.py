"""The verdicts of a comparison, on made-up measurements; whole runs on planted changes are in the soak."""

import argparse
import shutil
from pathlib import Path

import numpy as np
import pytest

import voxtral_kernels as vk
from bench.gate import compare


class FakeTree:
    """A worker whose samples are drawn around a mean, with the noise of a machine."""

    def __init__(self, mean, noise, seed, revision="x"):
        self.revision = revision
        self._mean, self._noise = mean, noise
        self._rng = np.random.default_rng(seed)
        self.samples = self.restarts = 0

    def restart(self):
        self.restarts += 1

    def ask(self, do, **arguments):
        if do == "time":
            self.samples += 1
            return self._mean * float(np.exp(self._rng.normal(0, self._noise)))
        return None


def timed(head_mean, *, limit, noise=0.1, seed=0):
    base, head = FakeTree(1.0, noise, seed), FakeTree(head_mean, noise, seed + 1000)
    return compare.time_case(base, head, "case", limit=limit, blocks=12, passes=3)


@pytest.mark.parametrize(("slowdown", "limit"), [(1.3, 0.1), (1.6, 0.25)])
def test_a_slowdown_well_above_the_limit_is_caught(slowdown, limit):
    assert all(timed(slowdown, limit=limit, seed=seed).slower for seed in range(10))


@pytest.mark.parametrize("limit", [0.1, 0.25])
def test_identical_trees_pass(limit):
    assert not any(timed(1.0, limit=limit, seed=seed).slower for seed in range(50))


def test_each_further_pass_runs_in_new_processes():
    trees = FakeTree(1.0, 0.1, 0), FakeTree(1.5, 0.1, 1)
    assert compare.time_case(*trees, "case", limit=0.1, blocks=12, passes=3).slower
    assert [tree.restarts for tree in trees] == [2, 2]


def test_a_process_that_is_slow_by_luck_is_not_called_slower():
    class Unlucky(FakeTree):
        def restart(self):
            self._mean = 1.0

    found = compare.time_case(FakeTree(1.0, 0.02, 0), Unlucky(1.2, 0.02, 1), "case", limit=0.1, blocks=12, passes=3)
    assert (len(found.passes), found.slower) == (2, False)


def test_a_pass_goes_on_while_its_interval_holds_the_limit():
    quiet, noisy = FakeTree(1.2, 0.01, 1), FakeTree(1.2, 0.3, 2)
    assert compare.time_case(FakeTree(1.0, 0.01, 0), quiet, "case", limit=0.1, blocks=12, passes=1).slower
    assert compare.time_case(FakeTree(1.0, 0.3, 0), noisy, "case", limit=0.1, blocks=12, passes=1).passes
    assert quiet.samples == 2 * 12
    assert 2 * 12 < noisy.samples <= compare.ROUNDS * 2 * 12


@pytest.mark.parametrize("option", ["--blocks=4", "--passes=0", "--limit=-1"])
def test_bad_options(option, capsys):
    with pytest.raises(SystemExit) as stop:
        compare.main(["HEAD", "HEAD", option])
    assert stop.value.code == 2
    assert "--blocks, --passes, --limit: expected at least 5, 1 and 0, got" in capsys.readouterr().err


def test_a_pass_that_does_not_agree_ends_the_case():
    found = timed(1.0, limit=0.1)
    assert len(found.passes) == 1
    assert len(timed(1.5, limit=0.1).passes) == 3


@pytest.mark.parametrize(
    ("base", "head", "allowed", "worse"),
    [
        ({"launches": 12}, {"launches": 12}, {}, []),
        ({"launches": 12}, {"launches": 11}, {}, []),
        ({"launches": 12}, {"launches": 13}, {}, ["launches"]),
        ({"launches": 12}, {"launches": 13}, {"launches": 13}, []),
        ({"launches": 12}, {"launches": 14}, {"launches": 13}, ["launches"]),
        ({}, {"launches": 14}, {}, []),
        ({"launches": 14}, {}, {}, []),
    ],
)
def test_counters_fail_on_any_increase_not_accepted(base, head, allowed, worse):
    assert [c.counter for c in compare.compare_counters(base, head, allowed) if c.worse] == worse


def test_markdown_names_what_is_worse():
    options = argparse.Namespace(base="a", head="b", limit=10.0)
    counted = compare.compare_counters({"launches": 12}, {"launches": 13}, {})
    text = compare.markdown(options, counted, [timed(1.0, limit=0.1)])
    assert text.startswith("### bench compare: worse: launches\n")
    assert "| launches | 12 | 13 | **worse** |" in text


def test_each_side_runs_its_own_package(tmp_path):
    """Not the checkout's, which an editable installation puts before any path."""
    trees = []
    for number in range(2):
        site = tmp_path / str(number)
        package = Path(vk.__file__).parent
        shutil.copytree(package, site / "voxtral_kernels", ignore=shutil.ignore_patterns("data", "__pycache__"))
        trees.append(compare.Tree(str(site)))
    packages = [tree.ask("package") for tree in trees]
    for tree in trees:
        tree.close()
    assert packages == [str(tmp_path / str(number) / "voxtral_kernels") for number in range(2)]


def test_an_unknown_revision_is_named():
    with pytest.raises(ValueError, match="no-such-branch"):
        compare.build("no-such-branch")


def test_the_committed_list_of_accepted_increases_is_read():
    assert all(isinstance(value, (int, float)) for value in compare.accepted().values())
