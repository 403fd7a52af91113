"""The tables of a run in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def console(width: int = 160) -> Console:
    """The terminal as it is; a file or a pipe gets lines of so many characters."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=width)


def time_text(seconds: float | None) -> str:
    """Three significant digits in the unit that suits: ``12.3 us``."""
    if seconds is None:
        return "-"
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def ratio_text(ratio: dict[str, float] | None) -> str:
    """``2.31 [2.20, 2.45]``: median and 95 % interval."""
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]" if ratio else "-"


def print_ops(rows: list[dict[str, Any]], console: Console) -> None:
    """The op table; a case whose gate is red shows the reason and no figures."""
    table = Table(title="Ops: ours against stock MLX ops (speed-up above 1: ours is faster)")
    for heading in ("op", "case", "dtype", "backend", "time", "stock", "speed-up [95 %]", "GB/s", "of roofline"):
        table.add_column(heading, justify="left" if heading in ("op", "case", "dtype", "backend") else "right")
    for row in rows:
        head = (row["op"], row["name"], row["dtype"], row["backend"])
        if row["gate"] != "ok":
            table.add_row(*head, "[red]wrong result[/red]", "", row["gate"][:60], "", "")
            continue
        figures = (time_text(row["seconds"]), time_text(row["stock_seconds"]), ratio_text(row["speedup"]))
        table.add_row(*head, *figures, f"{row['gb_per_s']:.2f}", f"{100 * row['of_roofline']:.0f} %")
    console.print(table)


def print_end_to_end(rows: list[dict[str, Any]], console: Console) -> None:
    """The end-to-end table."""
    table = Table(title="End to end")
    for heading in ("model", "case", "median", "slowest", "note"):
        table.add_column(heading, justify="right" if heading in ("median", "slowest") else "left")
    for row in rows:
        times = (time_text(row["seconds"]), time_text(row.get("slowest")))
        table.add_row(row["model"], row["case"], *times, row.get("note", ""))
    console.print(table)
