"""The op table: ours against stock MLX ops, one row a case, dtype and machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import mlx.core as mx

from voxtral_kernels import testing
from voxtral_kernels._check import dtype_name
from voxtral_kernels.backends import select

from ..cases import BenchCase, Suite, suites
from . import roofline
from .stats import Ratio, ratio
from .timing import paired


@dataclass(frozen=True)
class Row:
    """One measured case. Times in seconds; ``speedup`` is stock time / our time."""

    op: str
    name: str
    case: str
    why: str
    dtype: str
    backend: str
    variant: str
    gate: str  # "ok", or why the result is wrong: then there are no figures
    seconds: float | None = None
    stock_seconds: float | None = None
    speedup: Ratio | None = None
    gb_per_s: float | None = None
    gflop_per_s: float | None = None
    of_roofline: float | None = None  # least time by the measured ceilings / our time

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def gate(op: str, case: Any, dtype: mx.Dtype, backend: str) -> str:
    """``"ok"`` where the backend's result matches the oracle, else the sentence that says how far it is off."""
    try:
        testing.check_case(op, case, dtype, backend)
    except (AssertionError, RuntimeError) as error:
        return str(error).partition("\n")[0] or type(error).__name__
    return "ok"


def measure(suite: Suite, bench_case: BenchCase, dtype: mx.Dtype, *, blocks: int, sample_seconds: float) -> Row:
    """Gate, then time one case against the composed form in ABBA pairs."""
    reference = testing.definition(suite.op)
    request = reference.example(bench_case.case, dtype)
    choice = select.select(suite.op, request)
    row: dict[str, Any] = {
        "op": suite.op,
        "name": bench_case.name,
        "case": str(bench_case.case),
        "why": bench_case.why,
        "dtype": dtype_name(dtype),
        "backend": choice.backend,
        "variant": choice.variant,
        "gate": gate(suite.op, bench_case.case, dtype, choice.backend),
    }
    if row["gate"] != "ok":
        return Row(**row)
    times = paired(
        lambda: choice.implementation.run(request, None),
        lambda: reference.composed(request),
        blocks=blocks,
        sample_seconds=sample_seconds,
    )
    speedup = ratio(times.b, times.a)
    seconds = sorted(times.a)[len(times.a) // 2]
    n_bytes = suite.least_bytes(bench_case.case, dtype.size)
    flops = suite.flops(bench_case.case)
    ceiling = roofline.measure()
    return Row(
        **row,
        seconds=seconds,
        stock_seconds=sorted(times.b)[len(times.b) // 2],
        speedup=speedup,
        gb_per_s=n_bytes / seconds / 1e9,
        gflop_per_s=flops / seconds / 1e9,
        of_roofline=ceiling.seconds(n_bytes, flops) / seconds,
    )


def run(names: tuple[str, ...], *, blocks: int = 15, sample_seconds: float = 0.01) -> Iterator[Row]:
    """Every case of these ops, one row at a time."""
    for suite in suites(names):
        for bench_case in suite.cases:
            for dtype in bench_case.dtypes:
                yield measure(suite, bench_case, dtype, blocks=blocks, sample_seconds=sample_seconds)
