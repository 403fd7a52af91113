"""The HTML report: one self-contained file, readable on a phone."""

from __future__ import annotations

import html
import io
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from .tables import ratio_text, time_text

BUDGET_SECONDS = 0.08
# Inches: on a phone of 390 px a plot is shown at about its own size, so its text stays readable.
WIDTH = 4.8
COLOURS = ("#0b57d0", "#146c2e", "#b3261e")

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;color:#1b1f24;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
figure{margin:0}svg{width:100%;height:auto}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.8rem;width:100%}
th,td{padding:.3rem .4rem;border-bottom:1px solid #d8dee4;text-align:left;white-space:nowrap}
td.w,th.w{white-space:normal}td.n{text-align:right;font-variant-numeric:tabular-nums}.bad{color:#b3261e}.note{color:#57606a;font-size:.85rem}
"""


def render(record: dict[str, Any]) -> str:
    """The report of a run's record, as one HTML text without outside references."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width,initial-scale=1'>",
        f"<title>voxtral-kernels benchmarks</title><style>{STYLE}</style></head><body>",
        "<h1>voxtral-kernels benchmarks</h1>",
        _environment(record),
        _section("Speed-up against stock MLX ops", ratios(record["ops"]), "Median of paired runs, 95 % interval."),
        _section("Roofline", roofline(record), "Ceilings are this machine's measured copy bandwidth and matmul rate."),
        _ops_table(record["ops"]),
        _end_to_end_table(record["end_to_end"]),
    ]
    if stream := record.get("stream"):
        note = f"{stream['model']}: {len(stream['step_seconds'])} feeds, one every 80 ms by the clock."
        parts += [
            _section("Step time and memory over a stream", over_time(stream), note),
            _section(
                "Latency of a streaming step",
                latency(stream),
                "From complete audio to served feed; the line is the 80 ms budget.",
            ),
        ]
    return "\n".join([*parts, "</body></html>"])


def ratios(rows: list[dict[str, Any]]) -> Figure:
    """Speed-up with interval, one line a case."""
    rows = [row for row in rows if row["speedup"]][::-1]
    figure, axes = plt.subplots(figsize=(WIDTH, 1 + 0.24 * len(rows)))
    for op, colour in zip(dict.fromkeys(row["op"] for row in rows), COLOURS, strict=False):
        lines = [i for i, row in enumerate(rows) if row["op"] == op]
        found = [rows[i]["speedup"] for i in lines]
        reach = [[r["median"] - r["low"] for r in found], [r["high"] - r["median"] for r in found]]
        axes.errorbar([r["median"] for r in found], lines, xerr=reach, fmt="o", color=colour, capsize=2, label=op)
    axes.axvline(1, color="#57606a", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.set_yticks(range(len(rows)), [f"{row['name']}, {row['dtype']}" for row in rows], fontsize=7)
    axes.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.3, 1.0), frameon=False)
    axes.set_xlabel("stock time / our time")
    return figure


def roofline(record: dict[str, Any]) -> Figure:
    """Arithmetic rate against intensity, under the measured ceilings."""
    ceiling, rows = record["roofline"], [row for row in record["ops"] if row["seconds"]]
    figure, axes = plt.subplots(figsize=(WIDTH, 4))
    for op in dict.fromkeys(row["op"] for row in rows):
        points = [(r["gflop_per_s"] / r["gb_per_s"], r["gflop_per_s"]) for r in rows if r["op"] == op]
        axes.scatter([x for x, _ in points], [y for _, y in points], label=op, s=18)
    intensities = [2.0**i for i in range(-3, 11)]
    roof = [min(i * ceiling["copy_gb_per_s"], ceiling["matmul_gflop_per_s"]) for i in intensities]
    axes.plot(intensities, roof, color="#57606a", label="ceiling")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("FLOP a byte of least traffic")
    axes.set_ylabel("GFLOP/s")
    axes.legend(fontsize=7)
    return figure


def over_time(stream: dict[str, Any]) -> Figure:
    """Step time (running median of 25) and MLX's active memory over the stream."""
    steps, memory = stream["step_seconds"], stream["active_bytes"]
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(WIDTH, 4), sharex=True)
    smooth = [
        sorted(steps[max(0, i - 12) : i + 13])[len(steps[max(0, i - 12) : i + 13]) // 2] for i in range(len(steps))
    ]
    seconds = [0.08 * i for i in range(len(steps))]
    top.plot(seconds, [1e3 * s for s in smooth], color="#0b57d0")
    top.set_ylabel("step, ms")
    top.set_ylim(bottom=0)
    bottom.plot(seconds, [m / 2**20 for m in memory], color="#146c2e")
    bottom.set_ylabel("active memory, MiB")
    bottom.set_ylim(bottom=0)
    bottom.set_xlabel("audio, s")
    return figure


def latency(stream: dict[str, Any]) -> Figure:
    """Histogram of the feeds' latency against the budget."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3))
    axes.hist([1e3 * s for s in stream["latency_seconds"]], bins=60, color="#7aa7e9")
    axes.axvline(1e3 * BUDGET_SECONDS, color="#b3261e")
    axes.set_xlabel("latency, ms")
    axes.set_ylabel("steps")
    return figure


def _svg(figure: Figure) -> str:
    figure.tight_layout()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _section(title: str, figure: Figure, note: str) -> str:
    return f"<h2>{title}</h2><figure>{_svg(figure)}</figure><p class='note'>{html.escape(note)}</p>"


def _environment(record: dict[str, Any]) -> str:
    known = ((key, value) for key, value in record["environment"].items() if value is not None)
    text = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in known)
    return f"<p class='note'>{html.escape(text)}; {html.escape(record['date'])}</p>"


def _table(headings: list[str], rows: list[str]) -> str:
    head = "".join(f"<th>{h}</th>" for h in headings)
    return f"<div class='wide'><table><tr>{head}</tr>{''.join(rows)}</table></div>"


def _ops_table(rows: list[dict[str, Any]]) -> str:
    lines: list[str] = []
    for above, row in zip([None, *rows], rows, strict=False):
        if above is None or (above["op"], above["backend"]) != (row["op"], row["backend"]):
            lines.append(_group(f"{row['op']}, {row['backend']}", 5))
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
    return "<h2>Ops</h2>" + _table(["case", "time", "stock", "speed-up [95 %]", "of roofline"], lines)


def _end_to_end_table(rows: list[dict[str, Any]]) -> str:
    lines: list[str] = []
    for above, row in zip([None, *rows], rows, strict=False):
        if above is None or above["model"] != row["model"]:
            lines.append(_group(row["model"], 4))
        lines.append(
            f"<tr><td class='w'>{html.escape(row['case'])}</td>"
            f"<td class=n>{time_text(row['seconds'])}</td><td class=n>{time_text(row.get('slowest'))}</td>"
            f"<td class='w'>{html.escape(row.get('note', ''))}</td></tr>"
        )
    return "<h2>End to end</h2>" + _table(["case", "median", "slowest", "note"], lines)


def _group(title: str, columns: int) -> str:
    """A line over those that follow: what they share takes no column of a narrow screen."""
    return f"<tr><th class='w' colspan='{columns}'>{html.escape(title)}</th></tr>"
