"""What the HTML pages share: self-contained, readable on a phone, light or dark. Nothing here needs matplotlib."""

from __future__ import annotations

import html
from collections.abc import Iterable
from statistics import median
from typing import Any

from .tables import ratio_text, time_text

STYLE = """
:root{color-scheme:light dark;--text:#1b1f24;--back:#fff;--line:#d8dee4;--note:#57606a;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--text:#e6edf3;--back:#0d1117;--line:#30363d;--note:#9198a1;--bad:#ff7b72}}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;color:var(--text);
background:var(--back)}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
figure{margin:0}svg{width:100%;height:auto}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.8rem;width:100%}
th,td{padding:.3rem .4rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}
td.w,th.w{white-space:normal}td.n{text-align:right;font-variant-numeric:tabular-nums}.bad{color:var(--bad)}
.headline{font-size:1.1rem;font-weight:600}.note{color:var(--note);font-size:.85rem}
"""


def page(title: str, parts: Iterable[str]) -> str:
    """The whole text of a page."""
    head = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>\n<h1>{html.escape(title)}</h1>"
    )
    return "\n".join([head, *parts, "</body></html>"])


# How a fact of the machine is said.
FACTS = {
    "chip": "{}",
    "chip_model": "{}",
    "instruction_set": "instruction set {}",
    "cores": "{} cores",
    "gpu_cores": "{} GPU cores",
    "memory_gib": "{} GiB of memory",
    "os": "{}",
    "python": "Python {}",
    "mlx": "MLX {}",
    "voxtral_kernels": "voxtral-kernels {}",
    "commit": "commit {}",
    "device": "on the {}",
}


def environment(record: dict[str, Any]) -> str:
    """What the figures were taken on."""
    known = ((key, value) for key, value in record["environment"].items() if value is not None)
    text = ", ".join(FACTS.get(key, f"{key.replace('_', ' ')} {{}}").format(value) for key, value in known)
    return f"<p class='note'>{html.escape(text)}; {html.escape(record['date'])}</p>"


def headline(record: dict[str, Any]) -> str:
    """The outcome in one paragraph: what is right, what is faster, whether a live stream keeps up."""
    sentences: list[str] = []
    if found := record.get("selftest"):
        right, wrong = (sum(row[state] for row in found["rows"]) for state in ("right", "wrong"))
        sentences.append(
            f"{wrong} of {right + wrong} results are wrong." if wrong else f"All {right} results are right."
        )
    if ratios := [row["speedup"] for row in record.get("ops", []) if row["speedup"]]:
        faster, slower = sum(r["low"] > 1 for r in ratios), sum(r["high"] < 1 for r in ratios)
        share = f"{faster} of {len(ratios)} cases are faster than stock MLX, {slower} slower"
        middle = median(r["median"] for r in ratios)
        sentences.append(f"{share}; the middle one is {middle:.1f}x.")
    if stream := record.get("stream"):
        step = 1e3 * median(stream["step_seconds"])
        sentences.append(f"A live stream of {stream['model']} takes {step:.1f} of every 80 ms.")
    return f"<p class='headline'>{html.escape(' '.join(sentences))}</p>" if sentences else ""


def table(headings: list[str], rows: list[str]) -> str:
    """Rows are of HTML."""
    head = "".join(f"<th>{h}</th>" for h in headings)
    return f"<div class='wide'><table><tr>{head}</tr>{''.join(rows)}</table></div>"


def ops_table(rows: list[dict[str, Any]]) -> str:
    """Ours and stock, a line a case."""
    lines: list[str] = []
    for above, row in zip([None, *rows], rows, strict=False):
        if above is None or (above["op"], above["backend"]) != (row["op"], row["backend"]):
            lines.append(group(f"{row['op']}, {row['backend']}", 5))
        head = f"<td class='w'>{html.escape(row['name'])}, {html.escape(row['dtype'])}</td>"
        if row["gate"] != "ok":
            lines.append(f"<tr>{head}<td class='bad w' colspan='4'>wrong result: {html.escape(row['gate'])}</td></tr>")
            continue
        figures = (
            time_text(row["seconds"]),
            time_text(row["stock_seconds"]),
            ratio_text(row["speedup"]),
            f"{100 * row['of_roofline']:.0f} %",
        )
        lines.append(f"<tr>{head}{''.join(f'<td class=n>{f}</td>' for f in figures)}</tr>")
    return "<h2>Ops</h2>" + table(["case", "time", "stock", "speed-up [95 %]", "of roofline"], lines)


def end_to_end_table(rows: list[dict[str, Any]]) -> str:
    """Stages and streams of the models."""
    lines: list[str] = []
    for above, row in zip([None, *rows], rows, strict=False):
        if above is None or above["model"] != row["model"]:
            lines.append(group(row["model"], 4))
        lines.append(
            f"<tr><td class='w'>{html.escape(row['case'])}</td>"
            f"<td class=n>{time_text(row['seconds'])}</td><td class=n>{time_text(row.get('slowest'))}</td>"
            f"<td class='w'>{html.escape(row.get('note', ''))}</td></tr>"
        )
    return "<h2>End to end</h2>" + table(["case", "median", "slowest", "note"], lines)


def group(title: str, columns: int) -> str:
    """A line over those that follow: what they share takes no column of a narrow screen."""
    return f"<tr><th class='w' colspan='{columns}'>{html.escape(title)}</th></tr>"
