"""``python -m bench record``: measure this machine, keep the record, and renew the README's results table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from rich.console import Console

from ..options import Parser
from ..paths import BENCH, ROOT
from ..report.files import renewed, write_text
from ..report.tables import time_text
from . import all as tables

RESULTS = BENCH / "results"
START, END = "<!-- results: written by `python -m bench record` -->", "<!-- end of results -->"

# The table's columns: (op, case, dtype) of the op table, and the heading.
COLUMNS = {
    ("sliding_window_attention", "decode, window full", "bfloat16"): "attention, decode, 8192 keys",
    ("sliding_window_attention", "encoder, live", "bfloat16"): "attention, encoder, 4 x 750",
    ("causal_conv1d_gelu", "conv2, live", "bfloat16"): "conv2 + GELU, 8 frames",
    ("ada_rms_norm", "decode", "bfloat16"): "norm, 1 row",
}
# What of a row is kept.
KEPT = ("op", "name", "dtype", "backend", "gate", "seconds", "stock_seconds", "speedup")
# Machines that the package is for; without a record their row says so.
AWAITED = ("Apple M1", "Apple M2", "Apple M3", "Apple M4")


def main(argv: list[str]) -> int:
    """Measure, append to ``bench/results/<chip>.jsonl``, rewrite the table; exit 1 and keep nothing on a red gate."""
    parser = Parser(prog="bench record", description=__doc__)
    parser.add_argument("--from", dest="source", type=Path, metavar="JSON", help="take the JSON of `bench` or `report`")
    parser.add_argument("--table-only", action="store_true", help="only renew the README from the kept records")
    options = parser.parse_args(argv)
    if not options.table_only:
        source = options.source or ROOT / "build" / "record.json"
        if options.source is None:
            source.parent.mkdir(exist_ok=True)
            if tables.main(["--no-full-shapes", "--no-host", "--json", str(source)]):
                return 1
        try:
            keep(read(source))
        except ValueError as error:
            parser.error(f"--from: {error}")
    readme = ROOT / "README.md"
    write_text(readme, with_table(readme.read_text(), table(records())))
    Console().print(f"Wrote the results table of {readme.name}.")
    return 0


def read(source: Path) -> dict[str, Any]:
    """A run's JSON.

    Raises:
        ValueError: it is none, or lacks what a row is made of; one line.
    """
    try:
        record = json.loads(source.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"expected the JSON of `bench` or `report`, got {source}: {error}.") from None
    holds = isinstance(record, dict) and isinstance(record.get("ops"), list) and bool(record["ops"])
    environment = record.get("environment") if holds else None
    needed = ("chip", "cores", "device", "mlx")
    lacking = [k for k in needed if k not in environment] if isinstance(environment, dict) else ["environment", "ops"]
    if holds and not lacking:
        lacking = sorted({key for row in record["ops"] for key in KEPT if key not in row})
    if lacking or "date" not in record:
        raise ValueError(
            f"expected the JSON of `bench` or `report`, got {source} without {', '.join(lacking or ['date'])}."
        )
    return dict(record)


def keep(record: dict[str, Any]) -> Path:
    """Append what the table needs to the file of the chip, its model and instruction set; returns that."""
    environment = record["environment"]
    slug = re.sub(r"[^a-z0-9]+", "-", " ".join(_machine(environment)).lower()).strip("-")
    rows = [{key: row[key] for key in KEPT} for row in record["ops"]]
    line = json.dumps({"date": record["date"], "environment": environment, "ops": rows})
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{slug}.jsonl"
    write_text(path, (path.read_text() if path.exists() else "") + line + "\n")
    return path


def _machine(environment: dict[str, Any]) -> list[str]:
    """What tells machines apart; older records have the chip alone."""
    known = (environment.get(key) for key in ("chip", "chip_model", "instruction_set"))
    return [str(value) for value in known if value]


def records() -> list[dict[str, Any]]:
    """The newest kept record of each machine."""
    files = sorted(RESULTS.glob("*.jsonl"))
    return [json.loads(path.read_text().splitlines()[-1]) for path in files]


def table(found: list[dict[str, Any]]) -> str:
    """The README's table: speed-up against stock MLX with interval, and our time; awaited machines without figures."""
    lines = [
        f"| machine | backend | {' | '.join(COLUMNS.values())} |",
        f"| --- | --- | {' | '.join('---' for _ in COLUMNS)} |",
    ]
    for record in found:
        environment = record["environment"]
        rows = {(row["op"], row["name"], row["dtype"]): row for row in record["ops"]}
        where = f"{environment['cores']} cores, {environment['device']}, mlx {environment['mlx']}"
        machine = f"{', '.join(_machine(environment))}, {where}"
        backends = ", ".join(sorted({row["backend"] for row in record["ops"]}))
        cells = [_cell(rows.get(key)) for key in COLUMNS]
        lines.append(f"| {machine} ({record['date'][:10]}) | {backends} | {' | '.join(cells)} |")
    measured = {record["environment"]["chip"] for record in found}
    blank = " | ".join(["not measured yet", *[""] * (len(COLUMNS) - 1)])
    lines += [f"| {chip} | metal | {blank} |" for chip in AWAITED if chip not in measured]
    return "\n".join(lines)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    if row["gate"] != "ok":
        return "wrong result"
    r = row["speedup"]
    return f"{r['median']:.1f}x [{r['low']:.1f}, {r['high']:.1f}], {time_text(row['seconds'])}"


def with_table(readme: str, text: str) -> str:
    """The README with the table between its two marks renewed."""
    try:
        return renewed(readme, START, END, text)
    except ValueError as error:
        raise ValueError(f"[record] README.md: {error}") from None
