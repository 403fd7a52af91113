"""`bench compare` on planted changes; its figures go into docs/benchmarks.md."""

import shutil
from pathlib import Path

import pytest

from bench.gate import compare, deterministic
from bench.report import files

pytestmark = [pytest.mark.soak, pytest.mark.timed]

ROOT = Path(__file__).resolve().parents[2]
CASE = "causal_conv1d_gelu, conv1, live, bfloat16"
RUNS = 10

SPIN = """

def _slowed(run):
    import time

    def slower(*args, **kwargs):
        start = time.perf_counter()
        out = run(*args, **kwargs)
        mx.eval(out)
        took = time.perf_counter() - start
        while time.perf_counter() - start < FACTOR * took:
            pass
        return out

    return slower


run = _slowed(run)
"""


@pytest.fixture(scope="module")
def head():
    """The checkout's commit, installed."""
    return compare.build("HEAD")


def planted(head, folder, file, old, new):
    """A copy of the installed package with one edit; ``old`` None appends."""
    site = folder / "site"
    shutil.copytree(head, site)
    path = site / "voxtral_kernels" / file
    text = path.read_text()
    assert old is None or text.count(old) == 1, f"{file} has not one {old!r}"
    path.write_text(text + new if old is None else text.replace(old, new))
    return site


def runs(base, head, limit):
    """How many of the runs call head slower."""
    found = 0
    trees = compare.Tree(str(base)), compare.Tree(str(head))
    try:
        for _ in range(RUNS):
            found += compare.time_case(*trees, CASE, limit=limit, blocks=15, passes=3).slower
    finally:
        for tree in trees:
            tree.close()
    return found


@pytest.mark.parametrize(("slowdown", "limit"), [(1.3, 0.10), (1.6, 0.25)])
def test_a_planted_slowdown_is_caught_every_time(head, tmp_path, slowdown, limit):
    slow = planted(head, tmp_path, "backends/select.py", None, SPIN.replace("FACTOR", str(slowdown)))
    caught = runs(head, slow, limit)
    note(f"{CASE}: {round(100 * slowdown - 100)} % slower, limit {limit:.0%}", f"caught in {caught} of {RUNS} runs")
    assert caught == RUNS


def test_identical_trees_pass_every_time_in_every_case(head):
    """At 10 %: whoever lies below that limit lies below 25 % too."""
    trees, failed = (compare.Tree(str(head)), compare.Tree(str(head))), []
    try:
        cases = trees[0].ask("cases")
        for _ in range(RUNS):
            timed = [compare.time_case(*trees, case, limit=0.10, blocks=15, passes=3) for case in cases]
            failed.append([t.case for t in timed if t.slower])
    finally:
        for tree in trees:
            tree.close()
    passed = sum(not slower for slower in failed)
    note(f"identical trees, {len(cases)} cases, limits 10% and 25%", f"passed in {passed} of {RUNS} runs")
    assert passed == RUNS, failed


PLANTS = {
    "an extra launch": (
        "dispatch/ada_rms_norm.py",
        "    x = r.x.reshape(rows, dim)\n",
        "    x = (r.x + mx.zeros_like(r.x)).reshape(rows, dim)\n",
        "launches, decoder layer",
    ),
    "an extra cache copy": (
        "caches/kv_cache.py",
        "        limit = max(1, math.isqrt(2 * capacity * chunk))\n",
        "        limit = 1\n",
        "cache bytes copied a token, decoder",
    ),
    "doubled traffic in a shader": (
        "kernels/ada_rms_norm.metal",
        "    store_bounded<T, V>(h, i, dim, row);\n",
        # Behind a store that may alias, so that no compiler takes the second reading for the first.
        "    store_bounded<T, V>(h, i, dim, row);\n"
        "    const Packed<T, V> again = load_bounded<T, V>(x, i, dim);\n"
        "    for (int j = 0; j < V; ++j) row.v[j] = T(float(row.v[j]) + 0.0f * float(again.v[j]));\n",
        "ada_rms_norm, 1 row, bfloat16: device bytes / least",
    ),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_change_is_caught_by_counters(head, tmp_path, plant):
    *edit, counter = PLANTS[plant]
    trees = compare.Tree(str(head)), compare.Tree(str(planted(head, tmp_path, *edit)))
    try:
        rows = compare.compare_counters(*(tree.ask("counters") for tree in trees), compare.accepted())
    finally:
        for tree in trees:
            tree.close()
    worse = {row.counter: (row.base, row.head) for row in rows if row.worse}
    assert counter in worse
    note(plant, f"caught: {counter} {worse[counter][0]:,.6g} -> {worse[counter][1]:,.6g}")


def test_identical_trees_have_identical_counters(head):
    trees = compare.Tree(str(head)), compare.Tree(str(head))
    try:
        first, second = (tree.ask("counters") for tree in trees)
    finally:
        for tree in trees:
            tree.close()
    worse = [row.counter for row in compare.compare_counters(first, second, {}) if row.worse]
    same = {name for name in first if first[name] == second[name]}
    note("identical trees, counters", f"{len(same)} of {len(first)} the same, none worse" if not worse else str(worse))
    assert not worse
    assert set(first) - same <= set(deterministic.LOOSE)


START, END = (
    "<!-- planted changes: written by tests/bench/test_gate.py in the soak -->",
    "<!-- end of planted changes -->",
)


def note(plant, verdict):
    """Keep the finding in docs/benchmarks.md, a row for each plant."""
    path = ROOT / "docs" / "benchmarks.md"
    before, start, rest = path.read_text().partition(START)
    table, end, after = rest.partition(END)
    rows = dict(
        line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ") and "---" not in line
    )
    rows.pop("planted", None)
    rows[plant] = verdict
    lines = ["| planted | verdict |", "| --- | --- |", *(f"| {a} | {b} |" for a, b in sorted(rows.items()))]
    files.write_text(path, f"{before}{start}\n\n" + "\n".join(lines) + f"\n\n{end}{after}")
