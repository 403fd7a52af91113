"""``python -m bench many``: what streams gain by sharing each reading of the weights. Exit 1 where less than asked.

Tokens a second of all streams together at 1, 2, 4, 8 and 16 of them, steps of each number in turn: the tiny model, and
the 4B shapes (2 layers of encoder and decoder, the whole vocabulary, random weights) in bf16 and 4 bits. Weight bytes a
stream, counted on the emulator. Latency of 8 live streams of the tiny model, fed 80 ms at a time by the clock.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("VOXTRAL_KERNELS_THREADS", "1")  # read when the extension is loaded

import numpy as np

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio

from ..cases.counted import SHAPES, Gate, share_of
from ..measure import random_model
from ..measure.many import Streams, live
from ..measure.stats import ratio
from ..options import Parser
from ..paths import EXAMPLES
from .counters import count

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
COUNTS = (1, 2, 4, 8, 16)
# Tokens a second of 8 streams over those of one, least; weight bytes a stream at 8 slots over those alone, most.
GAIN, BYTES = 2.5, 0.13
MODELS: dict[str, tuple[Callable[[], Any], float | None]] = {
    "tiny": (lambda: vk.load("tiny"), None),
    "4B shapes, bf16": (lambda: random_model.cut(2, 2), GAIN),
    "4B shapes, 4 bits": (lambda: random_model.cut(2, 2, bits=4), GAIN),
}


def throughput(make: Callable[[], Any], rounds: int, clock: Callable[[], float]) -> Iterator[tuple[int, float, Any]]:
    """Number of streams, tokens a second, and those over one stream's."""
    model = make()
    streams = {n: Streams(model, n, clock) for n in COUNTS}
    times: dict[int, list[float]] = {n: [] for n in COUNTS}
    for i in range(rounds):
        for n in COUNTS if i % 2 else reversed(COUNTS):
            times[n].append(streams[n].step())
    for n in COUNTS:
        gain = ratio([n / t for t in times[n]], [1 / t for t in times[1]])
        yield n, n / float(np.median(times[n])), gain


def weight_bytes() -> dict[str, float]:
    """Of each product of a decoder layer: bytes of the weights a stream at 8 slots, over those of one alone."""
    found = {}
    for name, shape in SHAPES.items():
        read = {}
        for rows in (1, 8):
            gate = Gate(name, "skinny_linear", replace(shape, rows=rows), weights_once=True, share=share_of(rows))
            read[rows] = count(gate).weights or 0.0
        found[name] = read[8] / 8 / read[1]
    return found


def main(argv: list[str]) -> int:
    """Print the figures."""
    parser = Parser(prog="bench many", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="steps of each number of streams, at least 5")
    parser.add_argument("--seconds", type=float, default=20, help="of the live streams")
    parser.add_argument("--only", default="", help="lines whose name holds this text")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: processor time, where others use the machine"
    )
    options = parser.parse_args(argv)
    lines: list[dict[str, Any]] = []

    def line(name: str, value: float, text: str, *, wrong: bool = False) -> None:
        lines.append({"name": name, "value": value, "wrong": wrong})
        print(f"{name:28}{text}{'  WRONG' if wrong else ''}", flush=True)

    for name, (make, least) in MODELS.items():
        for n, rate, gain in throughput(make, options.rounds, CLOCKS[options.clock]) if options.only in name else ():
            asked = least if n == 8 else None
            text = f"{rate:8.1f} tokens/s, {gain} of one stream" + (f" (asked: at least {asked})" if asked else "")
            line(f"{name}, {n}", gain.median, text, wrong=asked is not None and gain.median < asked)
    if options.only in "weight bytes":
        for name, share in weight_bytes().items():
            text = f"{share:.4f} of alone, a stream at 8 slots (asked: at most {BYTES}); counted on the emulator"
            line(f"weight bytes, {name}", share, text, wrong=share > BYTES)
    if options.only in "latency":
        waited = live(vk.load("tiny"), load_audio(EXAMPLES / "one-minute.wav"), 8, options.seconds)
        for percent in (50, 90, 99):
            ms = 1e3 * float(np.percentile(waited, percent))
            line(f"latency, {percent} %", ms, f"{ms:8.1f} ms from audio to event, 8 live streams, tiny model")
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1) + "\n")
    return int(any(entry["wrong"] for entry in lines))
