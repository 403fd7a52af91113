"""``python -m bench counters``: the shaders' traffic, counted on the emulator and gated.

Device bytes are what lanes ask for, without any cache; small arguments in ``constant`` are left out. Every figure is
deterministic. docs/kernels.md derives what each variant should move.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any
from unittest.mock import patch

from voxtral_kernels import emulator, testing
from voxtral_kernels.backends.source import kernel
from voxtral_kernels.dispatch import _skinny_sizes

from ..cases import suites
from ..cases.counted import DECODER, ENCODER, GATES, SHAPES, Gate, part_of
from ..measure import qmv_counters, sdpa_counters
from ..measure.traffic import derived_bytes
from ..options import Parser

DERIVED = 1.05


@dataclass(frozen=True)
class Row:
    """What one shape was counted at."""

    name: str
    variant: str
    device_bytes: int
    over_least: float
    over_derived: float
    segments: float
    bank_conflicts: int
    barriers: int
    threadgroup_bytes: int
    failures: list[str]
    of_16_bits: float | None = None  # bytes of the caches
    weights: float | None = None  # how often each of their bytes is read
    joined: float | None = None  # bytes over the least where a compiler joins the loads that a text repeats
    again: str | None = None  # what the threadgroups read again of the rows, and what less would take


# MLX's own beside them: its gemv of a quantised weight once a row, its tiled product.
QUANTIZED = (("qmv", 1), ("qmv_fast", 1), ("qmv_fast", 8), ("qmm_t", 8))
# Fewer than 8 elements: MLX passes them in `constant`.
SMALL = {"state", "eps", "row_info"}
CACHES = {"ring", "tail_k", "tail_v"}
LANES = 8  # of a column


class Counted:
    """A kernel factory whose launches are counted."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []

    def __call__(self, **description: Any) -> Callable[..., Any]:
        built = emulator.metal_kernel(mode="counted", **description)

        def launch(**arguments: Any) -> Any:
            outputs = built(**arguments)
            small = {n for n, a in zip(description["input_names"], arguments["inputs"], strict=True) if a.size < 8}
            self.reports.append({"counters": built.report.counters, "small": small})
            return outputs

        return launch


def count(gate: Gate) -> Row:
    """Run the shape once in counted mode."""
    kernel.cache_clear()
    factory = Counted()
    request = testing.definition(gate.op).example(part_of(gate.case, gate.share), gate.dtype, 0)
    dispatch = importlib.import_module(f"voxtral_kernels.dispatch.{gate.op}")
    part = {name: getattr(_skinny_sizes, name) // gate.share for name in ("FILLED", "FEW_COLUMNS")}
    with patch.multiple(_skinny_sizes, **part):
        dispatch.launch(request, factory, None)
        derived = derived_bytes(gate.op, request)
        again = read_again(request, gate.share) if gate.op == "skinny_linear" else None
    kernel.cache_clear()
    (suite,) = suites((gate.op,))
    least = suite.least_bytes(gate.case, gate.dtype.size) / gate.share
    total, segments, ideal, weights, cached = 0, 0, 0, 0, 0
    for name, traffic in device_buffers(factory.reports):
        moved = traffic["bytes_read"] + traffic["bytes_written"]
        total, segments, ideal = total + moved, segments + traffic["segments"], ideal + traffic["ideal_segments"]
        weights += moved if name == "weight" else 0
        cached += moved if name in CACHES else 0
    failures = list(_failures(gate, total / least, total / derived, segments / ideal))
    if gate.of_16_bits is not None and cached > gate.of_16_bits * bytes_of_16_bits(request):
        failures.append(f"caches {cached / bytes_of_16_bits(request):.4f} of 16 bits > {gate.of_16_bits}")
    read = weights / request.weight.nbytes if gate.weights_once else None
    if read not in (None, 1.0):
        failures.append(f"weights read {read:.3f} times")
    counters = [r["counters"] for r in factory.reports]
    local = [t for c in counters for t in c["threadgroup_memory"].values()]
    return Row(
        gate.title,
        dispatch.variant(request)[0],
        total,
        total / least,
        total / derived,
        segments / ideal,
        sum(t["bank_conflicts"] for t in local),
        sum(c["barriers"] for c in counters),
        sum(t["bytes_read"] + t["bytes_written"] for t in local),
        failures,
        cached / bytes_of_16_bits(request) if gate.of_16_bits is not None else None,
        read,
        again=again if total / least > DERIVED else None,
    )


def read_again(r: Any, share: int) -> str:
    """What each threadgroup reads of x, and at how many columns it would be 5 % of the weights."""
    once, columns = _skinny_sizes.read_again(r), _skinny_sizes.columns(r)
    wanted = math.ceil(once / 0.05)
    groups, sums = share * r.weight.shape[0] / wanted, wanted * LANES * _skinny_sizes.rows(r) * 4 / 1024
    return (
        f"x again: {once / columns:.3f} of the weights, {columns} columns a threadgroup; "
        f"0.05 takes {wanted}: {groups:.0f} threadgroups, each with {sums:.0f} KB of sums in registers"
    )


def bytes_of_16_bits(r: Any) -> int:
    """Of the keys and values that the queries of an attention see, in a cache of 16 bits."""
    keys = r.offset + r.q.shape[2] - r.first_key
    return int(2 * r.tail_k.shape[0] * r.tail_k.shape[1] * keys * r.q.shape[3] * 2)


def device_buffers(reports: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, int]]]:
    """Buffers in device memory, by name."""
    for report in reports:
        for name, traffic in report["counters"]["buffers"].items():
            if not name.endswith(("_shape", "_strides")) and name not in report["small"]:
                yield name, traffic


def _failures(gate: Gate, over_least: float, over_derived: float, segments: float) -> Iterator[str]:
    if gate.least is not None and over_least > gate.least:
        yield f"bytes / least {over_least:.3f} > {gate.least}"
    if over_derived > DERIVED:
        yield f"bytes / derived {over_derived:.3f} > {DERIVED}"
    if segments > gate.segments:
        yield f"segments / ideal {segments:.3f} > {gate.segments}"


COLUMNS = ("MB", "/least", "/derived", "weights", "segm.", "conflicts", "barriers", "tg MB")


def line(name: str, variant: str, values: tuple[str, ...]) -> str:
    """A line of the table."""
    return f"{name:42} {variant:13}" + "".join(f"{value:>10}" for value in values)


def show(row: Row) -> None:
    """Print the row, and below it where it is worse than its gate."""
    derived = f"{row.over_derived:.3f}" if row.over_derived else "-"
    weights = "-" if row.weights is None else f"{row.weights:.3f}"
    figures = (f"{row.device_bytes / 1e6:.3f}", f"{row.over_least:.3f}", derived, weights, f"{row.segments:.3f}")
    local = (str(row.bank_conflicts), str(row.barriers), f"{row.threadgroup_bytes / 1e6:.3f}")
    print(line(row.name, row.variant, (*figures, *local)), flush=True)
    if row.of_16_bits is not None:
        print(f"    caches: {row.of_16_bits:.4f} of the bytes of 16 bits")
    if row.joined is not None:
        print(f"    {row.joined:.3f} of the least where a compiler joins the loads of one word")
    if row.again is not None:
        print(f"    {row.again}")
    for failure in row.failures:
        print(f"    WORSE: {failure}")


# Shapes that the regression gate counts in each tree: every kernel family, a second or two each.
COMPARED = ("attention, encoder, L = 1", "attention, encoder, L = 64", "ada_rms_norm, 1 row", "conv1, 8 frames")


def figures() -> dict[str, float]:
    """Traffic of a few shapes by name, lower is better: what a regression gate compares between two commits."""
    found: dict[str, float] = {}
    for row in (count(gate) for gate in GATES if gate.name in COMPARED):
        found[f"{row.name}: device bytes / least"] = row.over_least
        found[f"{row.name}: segments / ideal"] = row.segments
        found[f"{row.name}: barriers"] = float(row.barriers)
        found[f"{row.name}: bank conflicts"] = float(row.bank_conflicts)
    return found


def theirs() -> Iterator[tuple[str, Callable[[], Row]]]:
    """MLX's own kernels on the same shapes: the title that `--only` looks in, and what counts it."""
    for name, attention in (("encoder", ENCODER), ("decoder", DECODER)):
        yield f"MLX sdpa_vector, {name}", partial(sdpa_counters.count, name, attention, Row)
    for name, shape in SHAPES.items():
        for kernel_name, rows in QUANTIZED:
            label = f"{name}, {rows} row{'s' * (rows > 1)}, 4 bits"
            yield (
                f"MLX {kernel_name}, {label}",
                partial(qmv_counters.count, kernel_name, label, replace(shape, rows=rows, bits=4), 4, Row),
            )


def main(argv: list[str]) -> int:
    """Count every shape; 1 when one is worse than its gate."""
    parser = Parser(prog="bench counters", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON list instead of the table")
    parser.add_argument("--only", default="", help="shapes whose name contains this")
    options = parser.parse_args(argv)
    rows = []
    if not options.json:
        print(line("shape", "variant", COLUMNS))
    for gate in GATES:
        if options.only in gate.title:
            rows.append(count(gate))
            if not options.json:
                show(rows[-1])
    for title, count_theirs in theirs():
        if options.only in title:
            rows.append(count_theirs())
            if not options.json:
                show(rows[-1])
    if options.json:
        json.dump([asdict(row) for row in rows], sys.stdout, indent=1)
    if not rows:
        print(f"no shape has {options.only!r} in its name", file=sys.stderr)
        return 2
    worse = sum(bool(row.failures) for row in rows)
    if worse:
        print(f"{worse} of {len(rows)} shapes are worse than their gate", file=sys.stderr)
    return 1 if worse else 0
