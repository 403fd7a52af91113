"""``python -m bench bulk``: recordings a second of `voxtral-kernels bulk` with several workers and with one, in turn.

One Ray of this machine, a thread a worker, the tiny model, copies of the example of a minute. The clock runs from when
every worker has done a recording, so that neither Ray's start nor the model's is in it. Exit 1 where the gain is less
than asked.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from voxtral_kernels.bulk import cluster
from voxtral_kernels.bulk.manifest import Manifest
from voxtral_kernels.bulk.plan import Plan
from voxtral_kernels.bulk.shards import Folder
from voxtral_kernels.bulk.worker import Job

from ..measure.environment import chip
from ..measure.stats import ratio
from ..options import Parser
from ..paths import EXAMPLES

# Least gain of two workers on two cores.
GAIN = 1.5


def hours_a_second(recording: Path, files: int, workers: int) -> float:
    """Audio done in a second by so many workers, once each has begun."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [{"path": str(recording), "id": n} for n in range(files + workers)]
        (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        manifest, out = Manifest(str(folder / "manifest.jsonl")), Folder(str(folder / "out"), "jsonl")
        job = Job("tiny", out.url, name)
        out.prepare(job.settings)
        audio_s, start = 0.0, 0.0
        for n, done in enumerate(cluster.run(Plan(manifest, out, 1), job, workers, files + workers), 1):
            if done.errors:
                raise RuntimeError(f"a recording has an error: {out.rows(done.shard)[0]['error']}")
            if n > workers:
                audio_s += done.audio_s
            elif n == workers:
                start = time.perf_counter()
        return audio_s / 3600 / (time.perf_counter() - start)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the rates and the gain with its interval."""
    parser = Parser(prog="bench bulk", description=__doc__.split("\n\n")[0])
    parser.add_argument("--workers", type=int, default=2, help="workers against one (2)")
    parser.add_argument("--files", type=int, default=10, help="recordings of a minute in a run (10)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, at least 5 (5)")
    parser.add_argument("--least", type=float, default=GAIN, help=f"least gain ({GAIN})")
    options = parser.parse_args(argv)
    rates: dict[int, list[float]] = {1: [], options.workers: []}
    with cluster.connected(None, options.workers, 1):
        for round_ in range(options.rounds):
            for workers in sorted(rates, reverse=bool(round_ % 2)):
                rates[workers].append(hours_a_second(EXAMPLES / "one-minute.wav", options.files, workers))
                print(f"  {workers} worker(s): {rates[workers][-1]:.4f} hours of audio a second", flush=True)
    gain = ratio(rates[options.workers], rates[1])
    load = os.getloadavg()[0]
    print(f"{chip()}, {cluster.cores()} cores, load {load:.1f}: {options.workers} workers are {gain} times one")
    if gain.median < options.least:
        print(f"bench bulk: {gain} times one, at least {options.least:g}", file=sys.stderr)
        return 1
    return 0
