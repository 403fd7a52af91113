"""``python -m bench``: op and end-to-end tables in the terminal, the whole record as JSON, the report as HTML."""

from __future__ import annotations

import argparse
import datetime
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

import voxtral_kernels as vk

from .. import hosts
from ..cases import OPS, suites
from ..measure import end_to_end, environment, ops, roofline
from ..options import Parser
from ..report import files, html, tables
from . import host


def main(argv: list[str]) -> int:
    """Run what the options ask for; exit 1 where a correctness gate is red or a limit of `host` is missed."""
    options = _options(argv)
    console = tables.console()
    record: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "environment": environment.describe(),
        "roofline": asdict(roofline.measure()),
    }
    record["ops"] = _ops(options, console)
    tables.print_ops(record["ops"], console)
    record["end_to_end"], record["stream"] = _end_to_end(options)
    tables.print_end_to_end(record["end_to_end"], console)
    missed = False
    if not options.no_host:
        record["host"], missed = _host(options.blocks, console)
    if options.json:
        files.write_json(options.json, record)
        console.print(f"JSON: {options.json}")
    if options.html:
        files.write_text(options.html, html.render(record))
        console.print(f"HTML: {options.html}")
    return int(missed or any(row["gate"] != "ok" for row in record["ops"]))


def _options(argv: list[str]) -> argparse.Namespace:
    parser = Parser(prog="bench", description=__doc__)
    parser.add_argument("--ops", nargs="*", choices=OPS, default=list(OPS), help="only these ops (none: no op table)")
    parser.add_argument("--model", default="tiny", help="model of the stream: tiny, a folder or a hub id")
    parser.add_argument("--blocks", type=int, default=15, help="ABBA blocks a case, at least 5 (default 15)")
    parser.add_argument(
        "--stream", type=float, default=20.0, metavar="SECONDS", help="length of the live stream (default 20)"
    )
    parser.add_argument("--sustained", type=float, metavar="SECONDS", help="a live stream this long: heat, memory")
    parser.add_argument("--no-full-shapes", action="store_true", help="leave out the 4B shapes with random weights")
    parser.add_argument("--no-host", action="store_true", help="leave out the milliseconds to build a step")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the whole record")
    parser.add_argument("--html", type=Path, metavar="OUT", help="write the report, one self-contained file")
    options = parser.parse_args(argv)
    if options.blocks < 5:
        parser.error(f"--blocks: expected at least 5, got {options.blocks}")
    for name in ("json", "html"):
        path = getattr(options, name)
        if path and not path.resolve().parent.is_dir():
            parser.error(f"--{name}: expected a path in an existing folder, got {path}")
    return options


def _ops(options: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    total = sum(len(case.dtypes) for suite in suites(tuple(options.ops)) for case in suite.cases)
    rows = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("ops", total=total)
        for row in ops.run(tuple(options.ops), blocks=options.blocks):
            rows.append(row.as_dict())
            progress.advance(task)
    return rows


def _host(blocks: int, console: Console) -> tuple[list[dict[str, Any]], bool]:
    """The rows of `host`, and whether a limit is missed; none without the packages it compares with."""
    try:
        hosts.install()
    except ModuleNotFoundError as error:
        console.print(f"The milliseconds to build a step are not measured: {error}")
        return [], False
    rows = list(host.rows(blocks))
    host.show(rows, console)
    return [asdict(row) for row in rows], any(row.missed for row in rows)


def _end_to_end(options: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    model = vk.load(options.model)
    rows = list(end_to_end.stages(model, options.model))
    stream = end_to_end.stream(model, options.model, options.sustained or options.stream)
    rows.append(end_to_end.stream_row(stream))
    if not options.no_full_shapes:
        for bits in (None, 4):
            rows += end_to_end.full_shapes(bits)
    return rows, stream
