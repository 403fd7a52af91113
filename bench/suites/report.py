"""``voxtral-kernels report``: what a maintainer needs of this machine, as one JSON and one HTML to attach to an issue.

The self-test, the milliseconds to build a step, the ops against stock MLX, and a live stream of the tiny model. A part
that fails is told in the report; the others still run. No audio, no file names, no paths of yours are in it.
"""

from __future__ import annotations

import argparse
import datetime
import html
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import voxtral_kernels as vk
from voxtral_kernels import selftest
from voxtral_kernels.cli.info import gather

from ..cases import OPS
from ..measure import end_to_end, environment, ops, roofline
from ..measure.timing import single
from ..options import Parser
from ..report import files, page
from ..report.tables import time_text
from . import host

FORMAT = 1
# Facts of `info` that name folders.
PRIVATE = ("package", "python")
STATES = (selftest.RIGHT, selftest.WRONG, selftest.NOT_SERVED)


def main(argv: list[str]) -> int:
    """Run every part and write both files; exit 1 where a result is wrong or a part failed, 130 after Ctrl-C."""
    options = _options(argv)
    record: dict[str, Any] = {
        "format": FORMAT,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "environment": environment.describe(),
        "info": {key: value for key, value in gather().items() if key not in PRIVATE},
        "failed": {},
    }
    interrupted = False
    for number, (name, part) in enumerate(PARTS.items(), start=1):
        print(f"[{number}/{len(PARTS)}] {name.replace('_', ' ')}", file=sys.stderr, flush=True)
        try:
            record |= part(options)
        except KeyboardInterrupt:
            record["failed"] |= dict.fromkeys(list(PARTS)[number - 1 :], "interrupted")
            interrupted = True
            break
        except Exception as error:  # what a maintainer wants to know
            record["failed"][name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    files.write_json(options.json, record)
    files.write_text(options.html, render(record))
    print(f"Wrote {options.json} and {options.html}.")
    wrong = record.get("selftest", {}).get("wrong") or any(row["gate"] != "ok" for row in record.get("ops", []))
    return 130 if interrupted else int(bool(wrong or record["failed"]))


def _options(argv: list[str]) -> argparse.Namespace:
    parser = Parser(prog="voxtral-kernels report", description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("report.json"), metavar="OUT", help="default: report.json")
    parser.add_argument("--html", type=Path, default=Path("report.html"), metavar="OUT", help="default: report.html")
    parser.add_argument("--ops", nargs="+", choices=OPS, default=list(OPS), help="only these ops")
    parser.add_argument("--blocks", type=int, default=10, help="ABBA blocks a case, at least 5 (default 10)")
    parser.add_argument("--stream", type=float, default=20.0, metavar="SECONDS", help="of the live stream (default 20)")
    options = parser.parse_args(argv)
    if options.blocks < 5:
        parser.error(f"--blocks: expected at least 5, got {options.blocks}")
    if options.stream < 0.08:
        parser.error(f"--stream: expected at least 0.08, got {options.stream:g}")
    for name in ("json", "html"):
        if not getattr(options, name).resolve().parent.is_dir():
            parser.error(f"--{name}: expected a path in an existing folder, got {getattr(options, name)}")
    return options


def _selftest(options: argparse.Namespace) -> dict[str, Any]:
    outcomes = [outcome for _, _, outcome in selftest.run(selftest.available(), options.ops)]
    counts = Counter((o.backend, o.op, o.dtype, o.status) for o in outcomes)
    rows = [
        {"backend": backend, "op": op, "dtype": dtype} | {s: counts[backend, op, dtype, s] for s in STATES}
        for backend, op, dtype in dict.fromkeys((o.backend, o.op, o.dtype) for o in outcomes)
    ]
    wrong = [asdict(o) for o in outcomes if o.status == selftest.WRONG]
    refused = Counter((o.backend, o.op, o.detail) for o in outcomes if o.status == selftest.NOT_SERVED)
    reasons = [{"backend": b, "op": op, "detail": detail, "cases": n} for (b, op, detail), n in refused.items()]
    return {"selftest": {"rows": rows, "wrong": wrong, "not_served": reasons}}


def _host(_: argparse.Namespace) -> dict[str, Any]:
    """Ours alone: the packages that `bench host` compares with are not part of an installation."""
    found = [(name, single(make(), samples=7)) for name, make in host.works().items()]
    return {
        "host": [
            {"case": name.removeprefix("host, "), "seconds": float(np.median(s)), "slowest": max(s)}
            for name, s in found
        ]
    }


def _ops(options: argparse.Namespace) -> dict[str, Any]:
    rows = [row.as_dict() for row in ops.run(tuple(options.ops), blocks=options.blocks)]
    return {"roofline": asdict(roofline.measure()), "ops": rows}


def _stream(options: argparse.Namespace) -> dict[str, Any]:
    stream = end_to_end.stream(vk.load("tiny"), "tiny", options.stream)
    return {"stream": stream, "end_to_end": [end_to_end.stream_row(stream)]}


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "selftest": _selftest,
    "host": _host,
    "ops": _ops,
    "stream": _stream,
}


def render(record: dict[str, Any]) -> str:
    """The report as one HTML text without outside references."""
    return page.page("voxtral-kernels on this machine", _parts(record))


def _parts(record: dict[str, Any]) -> Iterator[str]:
    yield page.headline(record)
    yield page.environment(record)
    for name, reason in record["failed"].items():
        yield f"<p class='bad'>{html.escape(name)}: {html.escape(reason)}</p>"
    if found := record.get("selftest"):
        yield _selftest_table(found)
    if served := record["info"].get("ops"):
        cells = [[e["op"], e["case"], e["backend"] or "none", e["variant"] or ""] for e in served]
        yield "<h2>What serves the 4B model's ops</h2>" + _plain(["op", "case", "backend", "variant"], cells)
    if "ops" in record:
        yield page.ops_table(record["ops"])
    if "host" in record:
        cells = [[r["case"], time_text(r["seconds"]), time_text(r["slowest"])] for r in record["host"]]
        yield "<h2>Building a step</h2>" + _plain(["step, route", "processor time", "slowest"], cells)
    if "end_to_end" in record:
        yield page.end_to_end_table(record["end_to_end"])


def _selftest_table(found: dict[str, Any]) -> str:
    # Dtypes differ in nothing but what is wrong, and that is told below in full.
    kinds = dict.fromkeys((row["op"], row["backend"]) for row in found["rows"])
    count = {
        kind: [sum(r[s] for r in found["rows"] if (r["op"], r["backend"]) == kind) for s in STATES] for kind in kinds
    }
    cells = [[op, backend, *map(str, count[op, backend])] for op, backend in sorted(kinds, key=lambda kind: kind[0])]
    headings = ["op", "backend", "right", "wrong", "not served"]
    wrong = [f"{o['backend']} {o['op']}, {o['case']} {o['dtype']}: {o['detail']}" for o in found["wrong"]]
    refused = [f"{o['backend']} {o['op']}, {o['cases']} cases: {o['detail']}" for o in found["not_served"]]
    notes = [f"<p class='bad'>{html.escape(text)}</p>" for text in wrong]
    notes += [f"<p class='note'>{html.escape(text)}</p>" for text in refused]
    return "<h2>Right results, against float64</h2>" + _plain(headings, cells) + "".join(notes)


def _plain(headings: list[str], rows: list[list[str]]) -> str:
    lines = ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return page.table(headings, lines)
