"""``python -m bench drop-in``: other packages' models before and after `accelerate`, in their own loops.

The tiny checkpoint in float32, or small random weights for the offline hosts. Steps are timed in ABBA order, one
model accelerated and one not, each at the end of its own minute of audio; every call of a step moves its stream on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from rich.console import Console
from rich.table import Table

import voxtral_kernels as vk
from voxtral_kernels.patch._attention import nbytes

from .. import hosts
from ..hosts import loops, offline
from ..measure import stats, timing
from ..options import Parser
from ..paths import EXAMPLES
from ..report import tables

TOKENS_PER_SECOND = 12.5
WINDOW = 64  # of the tiny checkpoint's decoder


def main(argv: list[str]) -> int:
    """Print the tables that the options ask for."""
    options = _options(argv)
    if not hosts.installed():
        return 2
    console = tables.console()
    record: dict[str, Any] = {"steps": list(_steps(options.seconds, options.blocks))}
    _print_steps(record["steps"], options.seconds, console)
    if options.words:
        record["words"] = list(_words(console))
        _print_words(record["words"], console)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0


def _options(argv: list[str]) -> argparse.Namespace:
    parser = Parser(prog="bench drop-in", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="audio before the timed steps (default 60)")
    parser.add_argument("--blocks", type=int, default=15, help="ABBA blocks, at least 5 (default 15)")
    parser.add_argument("--words", action="store_true", help="run the loops over examples/ and count word errors")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the record")
    options = parser.parse_args(argv)
    if options.blocks < 5 or options.seconds <= 0:
        parser.error("--blocks: expected at least 5; --seconds: expected more than 0")
    return options


class Realtime:
    """A realtime host's stream: a step is 80 ms of mel through encoder and decoder."""

    what = "80 ms of audio"

    def __init__(self, host: hosts.Voxmlx, seconds: float, accelerated: bool) -> None:
        self._host, self._model = host, host.tiny()
        if accelerated:
            vk.accelerate(self._model, decoder_window=WINDOW)
        mel = np.random.default_rng(0).standard_normal((128, 8)).astype(np.float32)
        self._mel = mx.array(mel)
        self._audio = host.open(self._model)
        self._decoder = host.new_cache(self._model, 8192)
        for _ in range(round(seconds * TOKENS_PER_SECOND)):
            mx.eval(self.step())

    def step(self) -> mx.array:
        embeds = self._audio.feed(self._mel)
        assert embeds is not None
        return mx.argmax(self._host.decode(self._model, embeds, self._decoder), axis=-1)

    def nbytes(self) -> int:
        return nbytes([*self._audio.caches, *self._decoder])


class Offline:
    """An offline host's decoder behind a prompt as long as the audio: a step is one token."""

    what = "one token"

    def __init__(self, host: Any, seconds: float, accelerated: bool) -> None:
        self._host, self._model = host, host.small()
        if accelerated:
            vk.accelerate(self._model)
        self._cache = host.new_cache(self._model)
        mx.eval(host.decode(self._model, [40] * round(seconds * TOKENS_PER_SECOND), self._cache))

    def step(self) -> mx.array:
        return mx.argmax(self._host.decode(self._model, [41], self._cache), axis=-1)

    def nbytes(self) -> int:
        return nbytes(self._cache)


def _steps(seconds: float, blocks: int) -> Iterator[dict[str, Any]]:
    """One row a host: milliseconds of a step and bytes in the caches, before and after."""
    kinds: list[tuple[Callable[..., Any], Any]] = [(Realtime, host) for host in hosts.REALTIME]
    kinds += [(Offline, host) for host in offline.OFFLINE]
    for kind, host in kinds:
        plain, ours = kind(host, seconds, False), kind(host, seconds, True)
        held = plain.nbytes(), ours.nbytes()
        pairs = timing.paired(plain.step, ours.step, blocks=blocks, sample_seconds=0.02)
        ratio = stats.ratio(pairs.a, pairs.b)
        yield {
            "host": host.name,
            "model": "voxtral_realtime" if kind is Realtime else "voxtral",
            "step": kind.what,  # type: ignore[attr-defined]
            "before_ms": 1e3 * float(np.median(pairs.a)),
            "after_ms": 1e3 * float(np.median(pairs.b)),
            "times_faster": [ratio.median, ratio.low, ratio.high],
            "before_bytes": held[0],
            "after_bytes": held[1],
        }


def _print_steps(rows: list[dict[str, Any]], seconds: float, console: Console) -> None:
    table = Table(title=f"A step after {seconds:g} s of audio, {mx.default_device()}")
    for name in ("host", "model", "step", "before ms", "after ms", "times faster [95 %]", "caches before", "after"):
        table.add_column(name, justify="left" if name in ("host", "model", "step") else "right")
    for row in rows:
        ratio = stats.Ratio(*row["times_faster"])
        sizes = (f"{row[key] / 1024:,.0f} KiB" for key in ("before_bytes", "after_bytes"))
        times = (f"{row[key]:.2f}" for key in ("before_ms", "after_ms"))
        table.add_row(row["host"], row["model"], row["step"], *times, str(ratio), *sizes)
    console.print(table)


def _words(console: Console) -> Iterator[dict[str, Any]]:
    """One row a loop: word errors over the short recordings and over the minute, before, after, and our own model's."""
    references = json.loads((EXAMPLES / "references.json").read_text())
    ours = vk.load("tiny", dtype="float32")
    texts = {"ours": {r: ours.transcribe(EXAMPLES / r).text for r in references}}
    for host, own in loops.LOOPS.items():
        for name, loop in own.items():
            loaded = loops.tiny(host)
            texts["before"] = {r: loop(loaded, EXAMPLES / r) for r in references}
            with vk.accelerate(loaded, decoder_window=WINDOW):
                texts["after"] = {r: loop(loaded, EXAMPLES / r) for r in references}
            _show(f"{host} {name}", references, texts, console)
            yield {"host": host, "loop": name} | {f"{who}_errors": _errors(t, references) for who, t in texts.items()}


def _show(title: str, references: dict[str, Any], texts: dict[str, dict[str, str]], console: Console) -> None:
    console.print(f"\n{title}", style="bold")
    for recording, reference in references.items():
        console.print(f"{recording}: {reference['text']}", highlight=False)
        for who in ("before", "after", "ours"):
            console.print(f"  {who:8}{texts[who][recording]}", highlight=False)


def _errors(texts: dict[str, str], references: dict[str, Any]) -> dict[str, list[int]]:
    """Errors and words, apart for the short recordings and the minute that joins them."""
    import jiwer

    counts = {"short": [0, 0], "minute": [0, 0]}
    for recording, text in texts.items():
        measured = jiwer.process_words(references[recording]["text"], text or " ")
        wrong = measured.substitutions + measured.deletions + measured.insertions
        count = counts["minute" if recording == "one-minute.wav" else "short"]
        count[0] += wrong
        count[1] += measured.hits + measured.substitutions + measured.deletions
    return counts


def _print_words(rows: list[dict[str, Any]], console: Console) -> None:
    table = Table(title="Word errors of the hosts' own loops: 18 recordings + one minute")
    for name in ("host", "loop", "before", "after", "our own model", "words"):
        table.add_column(name, justify="left" if name in ("host", "loop") else "right")
    for row in rows:
        errors = [row[f"{who}_errors"] for who in ("before", "after", "ours")]
        shown = [f"{e['short'][0]} + {e['minute'][0]}" for e in errors]
        words = f"{errors[2]['short'][1]} + {errors[2]['minute'][1]}"
        table.add_row(row["host"], row["loop"], *shown, words)
    console.print(table)
    console.print(f"Before, the hosts' decoders see 8192 tokens; the tiny checkpoint was trained with {WINDOW}.")
