"""``python -m bench host``: what the host does for a step, in milliseconds of building its graph; nothing is evaluated.

A decoder step (26 layers and the head, one token behind 8192) and an encoder chunk (32 layers, 4 frames behind 750) on
narrow layers: ours on each route, other packages' own layers, and theirs accelerated. Pairs alternate in ABBA order in
this process; milliseconds are processor time. ``voxmlx`` is held against as MLX builds it on this machine's CPU, where
a `mx.fast` op is a dozen nodes and more, and as on a GPU, where it is one. Exit 1 where a limit is missed.
"""

from __future__ import annotations

import argparse
import datetime
import functools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from .. import hosts
from ..measure import nodes
from ..measure.environment import chip
from ..measure.routes import CPU, DEVICE, GPU, ROUTES
from ..measure.stats import Ratio, ratio
from ..measure.steps import KINDS, Kind, Step, of_host, ours
from ..measure.timing import paired
from ..options import Parser
from ..paths import ROOT
from ..report import files, tables

# Our time over voxmlx's as it is built here; over the same host's, built for the same device, when accelerated.
OURS, ACCELERATED = 0.5, 1.0
TEXT_BYTES = 6 * 1024  # of shader text an op, on average over a step; a launch that fuses two counts as both
DOCS = ROOT / "docs" / "performance.md"
START, END = "<!-- host: written by `python -m bench host --docs` -->", "<!-- end of host -->"
ROUNDS = 4  # of blocks, while the interval holds the limit


@dataclass(frozen=True)
class Row:
    """One contender against another; ``ratio`` is its time over the other's."""

    kind: str
    who: str
    route: str
    against: str
    ms: float
    against_ms: float
    ratio: Ratio
    limit: float | None
    nodes: int  # that a layer adds
    against_nodes: int
    launches: int  # of ours, a step
    served: int  # ops of one purpose in them
    text_bytes: int  # of shader text handed over a step

    @property
    def missed(self) -> list[str]:
        """The limits that it misses, as sentences."""
        found = []
        what = f"{self.kind}, {self.who}, {self.route}"
        if self.limit is not None and self.ratio.median > self.limit:
            found.append(f"{what}: {self.ratio} of {self.against}, at most {self.limit:g}")
        if self.route == "metal" and self.text_bytes > TEXT_BYTES * self.served:
            text = self.text_bytes / max(self.served, 1)
            found.append(f"{what}: {text:,.0f} bytes of shader text an op, at most {TEXT_BYTES:,}")
        return found


@dataclass(frozen=True)
class Contender:
    """Somebody's step on a route or device; ``make`` takes a number of layers, None for all."""

    who: str
    on: str
    make: Callable[[int | None], Step]

    @functools.cached_property
    def step(self) -> Step:
        return self.make(None)

    @functools.cached_property
    def nodes(self) -> int:
        return nodes.of_a_layer(self.make).total()


def pairs(kind: Kind) -> Iterator[tuple[Contender, Contender, float | None]]:
    """Who is held against whom, and the limit."""
    own: dict[tuple[str, str], Contender] = {}
    for host in hosts.REALTIME:
        for device in (CPU, GPU):
            make = functools.partial(of_host, host, kind, device)
            own[host.name, device] = Contender(host.name, device, make)
    for route in ROUTES:
        us = Contender("ours", route, functools.partial(ours, kind, route))
        yield us, own["voxmlx", CPU], None if route == "composed" else OURS
        if DEVICE[route] == GPU:
            yield us, own["voxmlx", GPU], ACCELERATED
    for host in hosts.REALTIME:
        for route in ROUTES[:-1]:
            make = functools.partial(of_host, host, kind, route)
            yield Contender(f"{host.name} accelerated", route, make), own[host.name, DEVICE[route]], ACCELERATED


def measure(kind: Kind, a: Contender, b: Contender, limit: float | None, blocks: int) -> Row:
    """Rounds of ABBA blocks until the interval lies on one side of the limit."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        found = paired(a.step, b.step, blocks=blocks)
        times[0].extend(found.a)
        times[1].extend(found.b)
        held = ratio(*times)
        if limit is None or not held.low <= limit <= held.high:
            break
    texts = nodes.texts(a.step)
    return Row(
        kind=kind.name,
        who=a.who,
        route=a.on,
        against=f"{b.who}, {b.on}",
        ms=1e3 * float(np.median(times[0])),
        against_ms=1e3 * float(np.median(times[1])),
        ratio=held,
        limit=limit,
        nodes=a.nodes,
        against_nodes=b.nodes,
        launches=texts.launches,
        served=texts.served,
        text_bytes=texts.handed,
    )


def rows(blocks: int) -> Iterator[Row]:
    """Every pair, measured."""
    for kind in KINDS:
        for a, b, limit in pairs(kind):
            yield measure(kind, a, b, limit, blocks)


def figures() -> dict[str, float]:
    """Nodes of our layers, and shader text that our steps hand over, for the regression gate."""
    found: dict[str, float] = {}
    for kind in KINDS:
        for route in ROUTES[:-1]:
            found[f"nodes, {kind.layer}, {route}"] = float(
                nodes.of_a_layer(functools.partial(ours, kind, route)).total()
            )
        for route in ("native, GPU", "metal"):
            texts = nodes.texts(ours(kind, route))
            found[f"bytes of shader text, {kind.name}, {route}"] = float(texts.handed)
    return found


def works() -> dict[str, Callable[[], Step]]:
    """Our steps on each route, for the comparison of two trees."""
    return {
        f"host, {kind.name}, {route}": functools.partial(ours, kind, route) for kind in KINDS for route in ROUTES[:-1]
    }


def main(argv: list[str]) -> int:
    """Print the table; exit 1 where a limit is missed, 2 without the hosts."""
    options = _options(argv)
    if not hosts.installed():
        return 2
    console = tables.console(190)
    found = list(rows(options.blocks))
    show(found, console)
    if options.json:
        files.write_json(options.json, {"host": [asdict(row) for row in found]})
    if options.docs:
        files.write_text(DOCS, files.renewed(DOCS.read_text(), START, END, markdown(found)))
    return int(any(row.missed for row in found))


def _options(argv: list[str]) -> argparse.Namespace:
    parser = Parser(prog="bench host", description=__doc__)
    parser.add_argument("--blocks", type=int, default=15, help="ABBA blocks a pair, at least 5 (default 15)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the rows")
    parser.add_argument("--docs", action="store_true", help="renew the figures of docs/performance.md")
    options = parser.parse_args(argv)
    if options.blocks < 5:
        parser.error(f"--blocks: expected at least 5, got {options.blocks}")
    return options


def markdown(found: list[Row]) -> str:
    """The table of docs/performance.md."""
    lines = [
        f"Processor milliseconds on {chip()}, {datetime.date.today()}; ratio: median and 95 % interval.",
        "",
        "| step | who | route | ms | against | its ms | ratio | limit | nodes a layer, its | bytes a launch, an op |",
        "|---|---|---|---:|---|---:|---|---|---|---:|",
    ]
    for row in found:
        limit = "none" if row.limit is None else f"{row.limit:g}, {'missed' if row.ratio.median > row.limit else 'met'}"
        text = f"{row.text_bytes / row.launches:,.0f}, {row.text_bytes / row.served:,.0f}" if row.launches else ""
        cells = (row.kind, row.who, row.route, f"{row.ms:.2f}", row.against, f"{row.against_ms:.2f}", row.ratio, limit)
        lines.append(f"| {' | '.join(map(str, cells))} | {row.nodes}, {row.against_nodes} | {text} |")
    return "\n".join(lines)


def show(found: list[Row], console: Console) -> None:
    """The table, and the limits that are missed."""
    table = Table(
        title="Building a step's graph: processor ms, narrow layers, windows full (ratio below 1: less than the other)"
    )
    texts = ("step", "who", "route", "against")
    for heading in (*texts, "ms", "its ms", "ratio [95 %]", "limit", "nodes a layer", "its", "launches", "text KB"):
        table.add_column(heading, justify="left" if heading in texts else "right")
    for row in found:
        limit = "" if row.limit is None else f"{row.limit:g}" + (" missed" if row.ratio.median > row.limit else "")
        counts = (row.nodes, row.against_nodes, row.launches or "")
        text = f"{row.text_bytes / 1024:,.1f}" if row.text_bytes else ""
        times = (f"{row.ms:.2f}", f"{row.against_ms:.2f}", str(row.ratio))
        table.add_row(row.kind, row.who, row.route, row.against, *times, limit, *map(str, counts), text)
    console.print(table)
    for sentence in dict.fromkeys(s for row in found for s in row.missed):
        console.print(f"missed: {sentence}", highlight=False)
