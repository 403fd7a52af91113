"""``python -m bench drafts``: what several tokens from one reading of the weights save. Exit 1 where less than asked.

The tiny model over the 19 recordings: passes a token, and the wall time of files with drafts and without, in turn;
where the time of its passes goes. A stream that says no pad, of whose drafts nothing is right. The 4B shapes (2 layers,
random weights) that are made to say the recordings' tokens, and behind a wrong one what the tiny model says there, so
that as much is accepted as with it: time of the decoder. What an Apple chip would gain is computed, from published
times of MLX's own quantised products of several rows (mlx#3839); nothing of it was measured here.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("VOXTRAL_KERNELS_THREADS", "1")  # read when the extension is loaded

import mlx.core as mx
import numpy as np

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.models.passes import MOST, PLAIN, SIZES, Costs
from voxtral_kernels.models.result import Passes
from voxtral_kernels.models.voxtral_realtime.decoding import Decoding
from voxtral_kernels.models.voxtral_realtime.drafts import Drafts

from ..measure import random_model
from ..measure.astray import Said, said
from ..measure.pass_parts import Parts, parts
from ..measure.scripted import Astray, scripted
from ..measure.stats import Ratio, ratio
from ..options import Parser
from ..paths import EXAMPLES

Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}
# Most passes a token, and most of plain decoding's time: of files, of a stream without pads, of the 4B shapes.
PASSES, FILES, DENSE, SHAPES = 0.45, 0.75, 1.03, 0.65
# A pair of runs is disturbed where something waited for a processor in more than this share of its time.
DISTURBED = 0.15
PAD, WORD, TEXT = 32, 33, 1000
# Time of so many rows over that of one, least and most published for an M4 Pro: mlx#3839, quantised weights.
PUBLISHED = {"least": {1: 1.0, 4: 1.14, 8: 1.73}, "most": {1: 1.0, 4: 1.57, 8: 2.69}}
# In plain steps, by rows; PLAIN: a plain step.
Table = dict[int, float]


@cache
def recordings() -> dict[str, Said]:
    """Name to what the tiny model says, at 480 ms: in bfloat16, nearly always the reference's tokens."""
    model = vk.load("tiny")
    return {name: said(model, EXAMPLES / name) for name in json.loads((EXAMPLES / "references.json").read_text())}


class Times(NamedTuple):
    """Times with drafts over times without.

    Attributes:
        ratio: Of each pair.
        clock: That they are by.
    """

    ratio: Ratio
    clock: str

    def __str__(self) -> str:
        busy = "" if self.clock == "wall" else " (processor time)"
        return f"{self.ratio} of plain decoding's time{busy}"


def waiting() -> float:
    """Seconds in which something on this machine waited for a processor; 0 where the system does not say."""
    try:
        return int(Path("/proc/pressure/cpu").read_text().split("total=")[1].split()[0]) / 1e6
    except (OSError, IndexError, ValueError):
        return 0.0


def in_turn(run: Callable[[bool | None], Any], rounds: int, clock: str) -> tuple[Times, list[Any]]:
    """Pairs with drafts and without, in turn, and what the runs with drafts gave; the first of each is not timed.

    By the wall, pairs count in which nobody waited for a processor. Where most are disturbed, processor time is what
    can be compared.
    """
    quiet: list[dict[bool | None, float]] = []
    every: list[dict[bool | None, float]] = []
    found = []
    for i in range(1 + (rounds if clock == "cpu" else 3 * rounds)):
        wall, cpu = {}, {}
        before, waited = time.perf_counter(), waiting()
        for drafts in (None, False) if i % 2 else (False, None):
            starts = [read() for read in CLOCKS.values()]
            result = run(drafts)
            wall[drafts], cpu[drafts] = (read() - start for read, start in zip(CLOCKS.values(), starts, strict=True))
            if drafts is None:
                found.append(result)
        if i:
            every.append(cpu)
            if clock == "wall" and waiting() - waited < DISTURBED * (time.perf_counter() - before):
                quiet.append(wall)
        if len(quiet) == rounds:
            break
    used = quiet if len(quiet) >= 5 else every
    return Times(ratio(*([pair[d] for pair in used] for d in (None, False))), "cpu" if used is every else "wall"), found


def table(model: Any) -> Table:
    """What passes take, as the model has measured it."""
    costs = model.costs.here()
    return {rows: round(costs(rows), 2) for rows in (PLAIN, *SIZES)}


def files(rounds: int, clock: str) -> tuple[float, Times, Table]:
    """Passes a token over all recordings; time of the longest, which holds the others; what passes take."""
    model = vk.load("tiny")
    longest = load_audio(EXAMPLES / "one-minute.wav")
    times, _ = in_turn(lambda drafts: model.transcribe(longest, drafts=drafts), rounds, clock)
    made = tokens = 0
    for name in recordings():
        samples = load_audio(EXAMPLES / name)
        result, plain = (model.transcribe(samples, drafts=drafts) for drafts in (None, False))
        assert result.tokens == plain.tokens, f"{name}: drafts changed a token"
        made, tokens = made + result.passes.made, tokens + len(result.tokens)
    return made / tokens, times, table(model)


def dense(rounds: int, clock: str) -> Times:
    """Time of half a minute that is all text, none of which is guessed."""
    model, samples = vk.load("tiny"), np.zeros(30 * 16000, np.float32)
    other = cache(lambda n: Astray(*[1000 + (n + 25) % 50] * 2))
    with scripted(model.decoder, lambda n: 1000 + n % 50, 1e-6, other):
        return in_turn(lambda drafts: model.transcribe(samples, drafts=drafts), rounds, clock)[0]


def shapes(n_tokens: int, rounds: int, clock: str) -> tuple[Times, Passes, Table]:
    """Time of the 4B shapes' decoder over the recordings' tokens; what passes take."""
    model = random_model.cut(1, 2)
    model.encoder.blocks.clear()
    tokens = list(chain.from_iterable(r.tokens for r in recordings().values()))[:n_tokens]
    astray = list(chain.from_iterable(r.astray for r in recordings().values()))[:n_tokens]
    prompt = [PAD] * 39
    audio = mx.zeros((1, len(prompt) + n_tokens - 1, model.config.decoder.dim), model.dtype)

    def run(drafts: bool | None) -> Passes:
        proposed = None if drafts is False else Drafts(PAD, WORD, TEXT)
        decoding = Decoding(model, prompt, 6, offset=0, cache_bits=16, drafts=proposed, always=False)
        made = [token for token, _ in decoding.decode(audio)]
        assert made == tokens, "drafts changed a token"
        return decoding.passes

    begins = len(prompt) - 1
    with scripted(model.decoder, lambda n: tokens[n - begins], 1e-9, lambda n: astray[n - begins]):
        times, found = in_turn(run, rounds, clock)
    return times, found[-1], table(model)


class _Given(Costs):
    """Times that are given, linear in between and beyond."""

    def __init__(self, times: Table) -> None:
        super().__init__()
        sizes = [rows for rows in times if rows != PLAIN]
        slope = (times[sizes[-1]] - times[sizes[-2]]) / (sizes[-1] - sizes[-2])
        known = {rows: times[rows] for rows in sizes} | {MOST: times[sizes[-1]] + slope * (MOST - sizes[-1])}
        passes = np.interp(range(1, MOST + 1), list(known), list(known.values()))
        self._given = [times.get(PLAIN, times[1]), *passes.tolist()]

    def __call__(self, rows: int) -> float:
        return self._given[rows]

    def wanted(self, rows: int) -> int | None:
        return None


def computed(times: Table) -> tuple[float, float]:
    """Passes a token and time over plain decoding's, if passes took these times; no machine is asked."""
    made, spent, costs = 0, 0.0, _Given(times)
    for tokens, astray in recordings().values():
        drafts, at = Drafts(PAD, WORD, TEXT), 0
        drafts.costs = costs
        while at < len(tokens):
            steps = drafts.plain(len(tokens) - at)
            draft = [] if steps else drafts.next(len(tokens) - at)[0]
            right = 0
            while right < len(draft) and draft[right] == tokens[at + right]:
                right += 1
            n = steps or right + 1
            made += steps or 1
            spent += steps * costs(PLAIN) if steps else costs(len(draft) + 1)
            if not steps:
                behind = astray[at + n : at + len(draft) + 1]
                text = [a.text - TEXT for a in behind]
                drafts.hear(draft, tokens[at : at + n], [a.said for a in behind], text, timed=False)
            for token in tokens[at : at + n]:
                drafts.push(token)
            at += n
    total = sum(len(r.tokens) for r in recordings().values())
    return made / total, spent / total / costs(PLAIN)


def _shown(costs: Table) -> str:
    sizes, times = (", ".join(map(str, values)) for values in (SIZES, (costs[n] for n in SIZES)))
    return f"passes of {sizes} rows take {times} plain steps"


def main(argv: list[str]) -> int:
    """Print the figures."""
    parser = Parser(prog="bench drafts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="pairs of each timing, at least 5")
    parser.add_argument("--tokens", type=int, default=96, help="of the 4B shapes' decoder")
    parser.add_argument("--only", default="", help="lines whose name holds this text")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu: processor time; what is taken anyway where others use the machine",
    )
    options = parser.parse_args(argv)
    clock = options.clock
    lines: list[dict[str, Any]] = []

    def line(name: str, value: float, limit: float | None, text: str) -> None:
        over = limit is not None and value > limit
        asked = "" if limit is None else f" (asked: at most {limit})"
        lines.append({"name": name, "value": value, "asked": limit, "over": over})
        print(f"{name:24}{text}{asked}{'  MORE' if over else ''}", flush=True)

    if options.only in "recordings, files":
        passes, times, costs = files(options.rounds, clock)
        line("recordings", passes, PASSES, f"{passes:.3f} passes a token, tiny model")
        line("files", times.ratio.median, FILES, f"{times}, tiny model; {_shown(costs)}")
    for rows in SIZES if options.only in "a pass" else ():
        found = parts(vk.load("tiny"), rows)
        text = ", ".join(f"{name} {us:.0f}" for name, us in zip(Parts._fields, found, strict=True))
        line(f"a pass of {rows}", sum(found), None, f"{sum(found):.0f} us, tiny model: {text}")
    if options.only in "no pads":
        times = dense(options.rounds, clock)
        line("no pads", times.ratio.median, DENSE, str(times))
    if options.only in "4B shapes":
        times, made, costs = shapes(options.tokens, options.rounds, clock)
        line("4B shapes", times.ratio.median, SHAPES, f"{times}, 2 layers, bf16, CPU; {made}; {_shown(costs)}")
        passes, share = computed(costs)
        text = f"computed by these: {passes:.2f} passes a token over the recordings, {share:.2f} of the decoder's time"
        line("recordings, 4B costs", passes, None, text)
    for name, published in PUBLISHED.items() if options.only in "computed" else ():
        passes, share = computed(published)
        text = f"computed, not measured: {passes:.2f} passes a token, {share:.2f} of the time by the {name} published"
        line("Apple M4 Pro", share, None, text)
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1) + "\n")
    return int(any(entry["over"] for entry in lines))
