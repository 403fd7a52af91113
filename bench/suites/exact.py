"""``python -m bench exact``: what ``exact`` and ``chunk_ms`` cost.

One recording as a file, plain and exact, and as a live stream in blocks of 80 ms, in bfloat16: processor time
(median of paired ratios against the plain file) and tokens that differ from the exact ones of the same chunk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import mlx.core as mx
import numpy as np

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.models.chunk import CHUNKS_MS
from voxtral_kernels.models.voxtral_realtime.model import VoxtralRealtime

from ..measure.stats import ratio
from ..options import Parser
from ..paths import EXAMPLES

BLOCK = 1280


def _live(model: VoxtralRealtime, samples: np.ndarray, chunk_ms: int) -> list[int]:
    stream = model.stream(chunk_ms=chunk_ms)
    for i in range(0, len(samples), BLOCK):
        stream.feed(samples[i : i + BLOCK])
    stream.finish()
    return stream.tokens


def _file(model: VoxtralRealtime, samples: np.ndarray, chunk_ms: int, exact: bool) -> list[int]:
    return model.transcribe(samples, chunk_ms=chunk_ms, exact=exact).tokens


def main(argv: list[str]) -> int:
    """Print the table."""
    parser = Parser(prog="bench exact", description=__doc__)
    parser.add_argument("--model", default="tiny", help="a realtime model")
    parser.add_argument("--audio", type=Path, default=EXAMPLES / "one-minute.wav")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the recording")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(argv)
    model, samples = vk.load(given.model, dtype=mx.bfloat16), load_audio(given.audio)
    assert isinstance(model, VoxtralRealtime)
    samples = samples[: int(given.seconds * model.config.sample_rate)]
    works: dict[str, Callable[[], list[int]]] = {"file": partial(_file, model, samples, 80, False)}
    for ms in CHUNKS_MS:
        works[f"file, exact, {ms} ms"] = partial(_file, model, samples, ms, True)
        works[f"live, {ms} ms"] = partial(_live, model, samples, ms)
    tokens = {name: work() for name, work in works.items()}
    times: dict[str, list[float]] = {name: [] for name in works}
    for i in range(given.rounds):
        for name in works if i % 2 else reversed(works):
            start = time.process_time()
            works[name]()
            times[name].append(time.process_time() - start)
    seconds = len(samples) / model.config.sample_rate
    print(f"{given.model}, {seconds:.1f} s, bfloat16: processor time, against the plain file; tokens")
    for name in works:
        like = tokens.get(name.replace("live", "file, exact"), tokens["file, exact, 80 ms"])
        differ = sum(a != b for a, b in zip(tokens[name], like, strict=True))
        cost = f"{np.median(times[name]):8.2f} s   x {ratio(times[name], times['file'])!s:24}"
        print(f"{name:22}{cost}{differ} of {len(like)} tokens differ")
    return 0
