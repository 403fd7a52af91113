"""``python -m bench bulk``: recordings a second of `voxtral-kernels bulk` with several workers and with one, in turn.

One Ray of this machine, a thread a worker, the tiny model, copies of the example of a minute. Twice: each worker held
to one core, where one worker is one thread; and free, as the command starts them, where MLX's own thread and Python's
may take a second core that is idle. A rate is the sum of each worker's own, from its first shard to its last:
neither Ray's start nor the model's is in it. Exit 1 where the gain of the held ones is less than asked.
``--slots N``: one worker, held, that hears N recordings at once, against one that hears one.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from voxtral_kernels.bulk import cluster
from voxtral_kernels.bulk.manifest import Manifest
from voxtral_kernels.bulk.plan import Group, Plan
from voxtral_kernels.bulk.shards import Folder
from voxtral_kernels.bulk.worker import Done, Job, Worker

from ..measure.environment import chip
from ..measure.stats import Ratio, ratio
from ..options import Parser
from ..paths import EXAMPLES

# Least gain of two workers on two cores, a core each.
GAIN = 1.5


class Free(Worker):
    """A worker that says which it is, in place of its machine."""

    def do(self, group: Group) -> Done:
        return replace(super().do(group), node=str(os.getpid()))


class Held(Free):
    """A worker on one core of its own, whatever threads its libraries start. Linux only."""

    def __init__(self, job: Job) -> None:
        own = _own_core(Path(job.out))
        for thread in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(thread.name), {own})
        super().__init__(job)


def _own_core(folder: Path) -> int:
    """One of this process's cores that no other worker of the run has."""
    for core in sorted(os.sched_getaffinity(0)):
        try:
            (folder / f".core-{core}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return core
    raise RuntimeError("[bench bulk] workers: expected at most as many as there are cores, got more.")


@dataclass(frozen=True)
class Setting:
    """What a run is made with.

    Args:
        workers, slots: Of bulk.
        shard: Recordings a shard.
        held: Each worker on one core.
    """

    workers: int = 1
    slots: int = 1
    shard: int = 4
    held: bool = True

    def __str__(self) -> str:
        cores = "on one core each" if self.held else "free"
        return f"{self.workers} worker{'s' * (self.workers > 1)} {cores}, {self.slots} at once"


def hours_a_second(model: str, recording: Path, files: int, setting: Setting) -> float:
    """Audio done in a second: the sum over the workers."""
    first = setting.workers * setting.shard
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [{"path": str(recording), "id": n} for n in range(files + first)]
        (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        manifest, out = Manifest(str(folder / "manifest.jsonl")), Folder(str(folder / "out"), "jsonl")
        job = Job(model, out.url, name, slots=setting.slots)
        out.prepare(job.settings)
        plan = Plan(manifest, out, setting.shard)
        worker, groups = Held if setting.held else Free, plan.left()[0]
        results: dict[str, list[tuple[float, float]]] = {}
        for done in cluster.run(plan, job, setting.workers, groups, worker=worker):
            if done.errors:
                raise RuntimeError(f"a recording has an error: {out.rows(done.shard)[0]['error']}")
            results.setdefault(done.node, []).append((time.perf_counter(), done.audio_s))
        if len(results) != setting.workers:
            raise RuntimeError(f"[bench bulk] workers: expected {setting.workers} that work, got {len(results)}.")
        return sum(map(_rate, results.values())) / 3600


def _rate(results: Sequence[tuple[float, float]]) -> float:
    """Audio in a second of a worker, by when each of its shards was done."""
    if len(results) < 2:
        raise RuntimeError("[bench bulk] files: expected at least two shards for each worker, got one.")
    return sum(audio_s for _, audio_s in results[1:]) / (results[-1][0] - results[0][0])


def gain(model: str, files: int, rounds: int, one: Setting, more: Setting) -> Ratio:
    """What ``more`` does over what ``one`` does, in turn; printed run by run."""
    rates: dict[Setting, list[float]] = {one: [], more: []}
    for round_ in range(rounds):
        for setting in (one, more) if round_ % 2 else (more, one):
            rates[setting].append(hours_a_second(model, EXAMPLES / "one-minute.wav", files, setting))
            print(f"  {setting}: {rates[setting][-1]:.4f} hours of audio a second", flush=True)
    found = ratio(rates[more], rates[one])
    print(f"{chip()}, {cluster.cores()} cores, load {os.getloadavg()[0]:.1f}: {more}: {found} times {one}", flush=True)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Print the rates and the gains with their intervals."""
    parser = Parser(prog="bench bulk", description=__doc__.split("\n\n")[0])
    parser.add_argument("--workers", type=int, default=2, help="workers against one (2)")
    parser.add_argument("--files", type=int, default=40, help="recordings of a minute in a run (40)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, at least 5 (5)")
    parser.add_argument("--least", type=float, default=GAIN, help=f"least gain of workers that are held ({GAIN})")
    parser.add_argument("--only", choices=("held", "free"), help="one of the two (both)")
    parser.add_argument("--slots", type=int, help="instead: one worker that hears so many at once")
    parser.add_argument("--model", default="tiny", help="a model's folder (tiny)")
    options = parser.parse_args(argv)
    measure = partial(gain, options.model, options.files, options.rounds)
    with cluster.connected(None, options.workers, 1):
        if options.slots:
            shard = Setting(shard=max(options.slots, Setting.shard))
            measure(shard, replace(shard, slots=options.slots))
            return 0
        found = math.inf
        if options.only != "free":
            found = measure(Setting(), Setting(options.workers)).median
        if options.only != "held":
            measure(Setting(held=False), Setting(options.workers, held=False))
    if found < options.least:
        print(f"bench bulk: {found:.2f} times one, at least {options.least:g}", file=sys.stderr)
        return 1
    return 0
