"""The HTML report: one self-contained file, readable on a phone."""

from __future__ import annotations

import html
import io
import itertools
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ..cases import OPS
from . import page

BUDGET_SECONDS = 0.08
# Inches: on a phone of 390 px a plot is shown at about its own size, so its text stays readable.
WIDTH = 4.8
# One colour an op in every plot; these and the grey of axes and text are read on white and on black.
PALETTE = ("#3b82f6", "#2f9e5b", "#d9534f", "#b8860b", "#8b5cf6", "#0e9aa7")
COLOURS = dict(zip(OPS, itertools.cycle(PALETTE), strict=False))
GREY = "#7d8590"
plt.rcParams.update(
    {"text.color": GREY, "xtick.color": GREY, "ytick.color": GREY, "axes.edgecolor": GREY, "axes.labelcolor": GREY}
)


def render(record: dict[str, Any]) -> str:
    """The report of a run's record, as one HTML text without outside references."""
    parts = [
        page.headline(record),
        page.environment(record),
        _section("Speed-up against stock MLX ops", ratios(record["ops"]), "Median of paired runs, 95 % interval."),
        _section("Roofline", roofline(record), "Ceilings are this machine's measured copy bandwidth and matmul rate."),
        page.ops_table(record["ops"]),
        page.end_to_end_table(record["end_to_end"]),
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
    return page.page("voxtral-kernels benchmarks", parts)


def ratios(rows: list[dict[str, Any]]) -> Figure:
    """Speed-up with interval, one line a case."""
    rows = [row for row in rows if row["speedup"]][::-1]
    figure, axes = plt.subplots(figsize=(WIDTH, 1 + 0.24 * len(rows)))
    for op in dict.fromkeys(row["op"] for row in rows):
        lines = [i for i, row in enumerate(rows) if row["op"] == op]
        found = [rows[i]["speedup"] for i in lines]
        reach = [[r["median"] - r["low"] for r in found], [r["high"] - r["median"] for r in found]]
        axes.errorbar([r["median"] for r in found], lines, xerr=reach, fmt="o", color=COLOURS[op], capsize=2, label=op)
    axes.axvline(1, color=GREY, linewidth=1)
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
        axes.scatter([x for x, _ in points], [y for _, y in points], label=op, s=18, color=COLOURS[op])
    intensities = [2.0**i for i in range(-3, 11)]
    roof = [min(i * ceiling["copy_gb_per_s"], ceiling["matmul_gflop_per_s"]) for i in intensities]
    axes.plot(intensities, roof, color=GREY, label="ceiling")
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
    top.plot(seconds, [1e3 * s for s in smooth], color="#3b82f6")
    top.set_ylabel("step, ms")
    top.set_ylim(bottom=0)
    bottom.plot(seconds, [m / 2**20 for m in memory], color="#2f9e5b")
    bottom.set_ylabel("active memory, MiB")
    bottom.set_ylim(bottom=0)
    bottom.set_xlabel("audio, s")
    return figure


def latency(stream: dict[str, Any]) -> Figure:
    """Histogram of the feeds' latency against the budget."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3))
    axes.hist([1e3 * s for s in stream["latency_seconds"]], bins=60, color="#7aa7e9")
    axes.axvline(1e3 * BUDGET_SECONDS, color="#d9534f")
    axes.set_xlabel("latency, ms")
    axes.set_ylabel("steps")
    return figure


def _svg(figure: Figure) -> str:
    figure.tight_layout()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True)
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _section(title: str, figure: Figure, note: str) -> str:
    return f"<h2>{title}</h2><figure>{_svg(figure)}</figure><p class='note'>{html.escape(note)}</p>"
