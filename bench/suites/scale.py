"""``python -m bench scale``: an archive over N machines, some slow, each failing now and then, simulated.

What a recording takes is measured: `seconds` and `duration_s` of the rows of a bulk run (``--rows DIR``; else those
that are kept in bench/results). Everything else is assumed, printed, and drawn with a seed. Nothing of it was run on N
machines. ``--write`` renews docs/scale.svg and its table.
"""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ..options import Parser
from ..paths import BENCH, ROOT
from ..report.files import renewed, write_text

KEPT = BENCH / "results" / "bulk-recordings.json"
PAGE, PLOT = ROOT / "docs" / "scale.md", ROOT / "docs" / "scale.svg"
START, END = "<!-- simulation: written by python -m bench scale --write -->", "<!-- end of simulation -->"
MACHINES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SHARDS = (1, 16, 256)
SEEDS = range(5)


@dataclass(frozen=True)
class Assumed:
    """What is not measured.

    Args:
        hours: Of the archive.
        minutes: Median length of a recording; lengths are log-normal.
        spread: Standard deviation of their logarithm.
        slow: Share of machines that are slow, and by what they take longer.
        factor: See ``slow``.
        mtbf_h: Mean hours between two failures of a machine.
        down_s: Until a failed one has the model again.
        start_s: Until the first recording: Ray and the model.
        journal: Recordings of a lost shard that were done are kept; the one under way is lost.
    """

    hours: float = 10_000
    minutes: float = 10
    spread: float = 1.0
    slow: float = 0.1
    factor: float = 3.0
    mtbf_h: float = 24.0
    down_s: float = 300.0
    start_s: float = 60.0
    journal: bool = True

    @property
    def perfect(self) -> Assumed:
        """The same archive on machines that are alike and never fail."""
        return replace(self, slow=0.0, mtbf_h=float("inf"), start_s=0.0)


@dataclass(frozen=True)
class Measured:
    """What a recording takes: ``base_s`` and ``rate`` seconds for a second of audio, times one of ``noise``.

    Args:
        base_s, rate: A line through the measured recordings, by least relative squares.
        noise: What each measured one took over the line, ``[n]``.
    """

    base_s: float
    rate: float
    noise: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[dict[str, float]]) -> Measured:
        """Of rows with ``duration_s`` and ``seconds``."""
        audio, seconds = (np.array([row[key] for row in rows]) for key in ("duration_s", "seconds"))
        terms = np.stack([np.ones_like(audio), audio], 1) / seconds[:, None]
        base, rate = np.linalg.lstsq(terms, np.ones_like(seconds), rcond=None)[0]
        base = max(float(base), 0.0)
        return cls(base, float(rate), seconds / (base + rate * audio))

    def archive(self, assumed: Assumed, seed: int) -> np.ndarray:
        """Seconds of work of each recording of an archive."""
        rng = np.random.default_rng(seed)
        mean_s = assumed.minutes * 60 * np.exp(assumed.spread**2 / 2)
        count = int(assumed.hours * 3600 / mean_s) + 1
        audio = assumed.minutes * 60 * np.exp(assumed.spread * rng.standard_normal(count))
        audio *= assumed.hours * 3600 / audio.sum()
        return (self.base_s + self.rate * audio) * rng.choice(self.noise, count)


def simulate(work: np.ndarray, machines: int, shard: int, assumed: Assumed, seed: int) -> tuple[float, int]:
    """Seconds until all is done, and failures.

    A free machine takes the next shard; a lost shard is taken again first, by whoever is free.

    Args:
        work: Seconds of each recording on a machine that is not slow, ``[n]``.
        machines: How many, a worker each.
        shard: Recordings of one.
        assumed: Slow machines, failures.
        seed: Of both.
    """
    rng = np.random.default_rng(seed)
    speed = np.where(rng.random(machines) < assumed.slow, assumed.factor, 1.0)
    failing = np.isfinite(assumed.mtbf_h)
    life = [rng.exponential(assumed.mtbf_h * 3600) if failing else np.inf for _ in range(machines)]
    left = deque(deque(work[at : at + shard]) for at in range(0, len(work), shard))
    free = [(assumed.start_s, machine) for machine in range(machines)]
    heapq.heapify(free)
    # Until when each lost shard is not known to be lost.
    lost: list[tuple[float, int, deque[Any]]] = []
    end, failures = 0.0, 0
    while left or lost:
        now, machine = heapq.heappop(free)
        if lost and (lost[0][0] <= now or not left):
            at, _, todo = heapq.heappop(lost)
            now = max(now, at)
        else:
            todo = left.popleft()
        took = np.cumsum(todo) * speed[machine]
        if now + took[-1] <= life[machine]:
            now += float(took[-1])
            end = max(end, now)
        else:
            died = max(life[machine], now)
            failures += 1
            kept = int(np.searchsorted(took, died - now, "right")) if assumed.journal else 0
            heapq.heappush(lost, (died, failures, deque(list(todo)[kept:])))
            now = died + assumed.down_s
            life[machine] = now + rng.exponential(assumed.mtbf_h * 3600)
        heapq.heappush(free, (now, machine))
    return end, failures


@dataclass(frozen=True)
class Point:
    """What so many machines take: hours (the median of the seeds, the least and the most), and of a perfect split."""

    machines: int
    shard: int
    hours: tuple[float, float, float]
    perfect: float
    failures: float


def points(measured: Measured, assumed: Assumed, shards: Iterable[int] = SHARDS) -> list[Point]:
    """Every number of machines by every size of a shard."""
    archives = {seed: measured.archive(assumed, seed) for seed in SEEDS}
    found = []
    for shard in shards:
        for machines in MACHINES:
            runs = [simulate(archives[seed], machines, shard, assumed, seed) for seed in SEEDS]
            hours = sorted(seconds / 3600 for seconds, _ in runs)
            perfect = median(work.sum() for work in archives.values()) / machines / 3600
            spread = (median(hours), hours[0], hours[-1])
            found.append(Point(machines, shard, spread, float(perfect), median(f for _, f in runs)))
    return found


def table(found: Sequence[Point], shard: int) -> str:
    """Markdown of one size of a shard."""
    lines = [
        "| machines | hours | least, most | of a perfect split | failures |",
        "| ---: | ---: | --- | ---: | ---: |",
    ]
    for p in found:
        if p.shard == shard:
            spread = f"{p.hours[1]:.2f}, {p.hours[2]:.2f}"
            share = f"{p.perfect / p.hours[0]:.0%}"
            lines.append(f"| {p.machines} | {p.hours[0]:.2f} | {spread} | {share} | {p.failures:.0f} |")
    return "\n".join(lines)


def plot(found: Sequence[Point], path: Path) -> None:
    """Hours, and the share of a perfect split, by machines; a line for each size of a shard."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    with plt.rc_context({"svg.hashsalt": "scale", "svg.fonttype": "none"}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
        left.plot(MACHINES, [p.perfect for p in found][: len(MACHINES)], "--", color="0.6", label="perfect split")
        for shard in sorted({p.shard for p in found}):
            row = [p for p in found if p.shard == shard]
            name = f"{shard} recording{'s' * (shard > 1)} a shard"
            line = left.plot(MACHINES, [p.hours[0] for p in row], "o-", ms=3, label=name)[0]
            share = [p.perfect / p.hours[0] for p in row]
            right.plot(MACHINES, share, "o-", ms=3, color=line.get_color())
            low, high = ([p.perfect / p.hours[k] for p in row] for k in (2, 1))
            right.fill_between(MACHINES, low, high, alpha=0.2, color=line.get_color(), lw=0)
        for axes, title in ((left, "hours until all is done"), (right, "share of a perfect split")):
            axes.set(xscale="log", xlabel="machines", title=title)
            axes.set_xticks(MACHINES, [str(n) for n in MACHINES])
            axes.minorticks_off()
            axes.grid(alpha=0.3)
        left.set_yscale("log")
        right.set_ylim(0, 1.02)
        left.legend(frameon=False, fontsize=8)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def rows_of(folder: Path) -> list[dict[str, float]]:
    """What each recording of a bulk run took."""
    lines = (json.loads(line) for shard in sorted(folder.glob("*.jsonl")) for line in shard.read_text().splitlines())
    return [{key: row[key] for key in ("duration_s", "seconds")} for row in lines if row["error"] is None]


def said(measured: Measured, assumed: Assumed, found: Sequence[Point], machine: str) -> str:
    """What stands between the page's marks."""
    low, high = np.quantile(measured.noise, [0.05, 0.95])
    facts = (
        f"Measured ({len(measured.noise)} recordings, {machine}): {measured.base_s:.3f} s a recording and a second for",
        f"{1 / measured.rate:.0f} s of audio, times {low:.2f} to {high:.2f} (5th and 95th of a hundred). Assumed:",
        f"{assumed.hours:,.0f} hours, recordings of {assumed.minutes:g} minutes in the middle (log-normal,",
        f"{assumed.spread:g}); a worker a machine; {assumed.slow:.0%} take {assumed.factor:g} times as long;",
        f"each fails every {assumed.mtbf_h:g} hours (exponential) and is back after {assumed.down_s:.0f} s;",
        f"{assumed.start_s:.0f} s to begin. {len(SEEDS)} seeds. Shards of {SHARDS[1]}:",
    )
    lines = "\n".join(facts)
    return f"{lines}\n\n{table(found, SHARDS[1])}"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; renew page and plot if asked."""
    parser = Parser(prog="bench scale", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=Path, help="output of a bulk run (JSONL): what recordings take")
    for name in ("hours", "minutes", "slow", "factor", "mtbf-h", "down-s"):
        default = getattr(Assumed, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=float, default=default, help=f"({default:g})")
    parser.add_argument("--whole-shards", action="store_true", help="a lost shard is done again from its start")
    parser.add_argument("--write", action="store_true", help="renew docs/scale.svg and its table")
    options = parser.parse_args(argv)
    kept = json.loads(KEPT.read_text())
    rows, machine = (rows_of(options.rows), "given") if options.rows else (kept["rows"], kept["machine"])
    names = ("hours", "minutes", "slow", "factor", "mtbf_h", "down_s")
    assumed = Assumed(**{name: getattr(options, name) for name in names}, journal=not options.whole_shards)
    measured = Measured.of(rows)
    found = points(measured, assumed)
    text = said(measured, assumed, found, machine)
    print(text)
    for shard in (SHARDS[0], SHARDS[-1]):
        print(f"\nShards of {shard}:\n\n{table(found, shard)}")
    if options.write:
        plot(found, PLOT)
        write_text(PAGE, renewed(PAGE.read_text(), START, END, text))
    return 0
