"""``voxtral-kernels selftest``: every case of every op against its float64 oracle, on this machine's device.

For machines that nobody here has: the table says what is right there, the JSON is what to attach to a report.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import mlx.core as mx

from ._check import FLOATS, dtype_name
from .backends import cases, select
from .reference.definitions import OPS, definition

RIGHT, WRONG, NOT_SERVED = "right", "wrong", "not served"
# The self-check's sentence for a variant that runs and computes something else: that is no lack of support.
DIFFERS = "its result differs"


@dataclass(frozen=True)
class Outcome:
    """One case on one backend; ``detail`` says what is wrong, or why it is not served."""

    backend: str
    op: str
    dtype: str
    case: str
    seed: int
    status: str
    variant: str | None
    detail: str


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cases and print the table; 1 if a result is wrong, or a backend asked for by name serves nothing."""
    options = _parser().parse_args(argv)
    backends = options.backend or available()
    outcomes = list(_with_progress(run(backends, options.op or OPS, options.dtype, options.seeds)))
    if options.json:
        options.json.write_text(json.dumps(report(outcomes), indent=1) + "\n")
    print("\n".join(table(outcomes)))
    serving = {o.backend for o in outcomes if o.status != NOT_SERVED}
    return int(any(o.status == WRONG for o in outcomes) or not serving.issuperset(backends))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"[selftest] {message}.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("voxtral-kernels selftest", description="Every op against its float64 oracle, on this machine.")
    parser.add_argument(
        "--backend", action="append", choices=select.BACKENDS, help="default: those that serve here by themselves"
    )
    parser.add_argument("--op", action="append", choices=OPS, help="default: all")
    names = [dtype_name(d) for d in FLOATS]
    parser.add_argument("--dtype", action="append", choices=names, help="default: all")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="inputs drawn for each case")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes and the environment")
    return parser


def available() -> list[str]:
    """The backends that serve on the default device without being asked for by name."""
    order = select.ORDER[mx.default_device().type]
    return [name for name in order if any(_serves(name, op) for op in OPS)]


def _serves(backend: str, op: str) -> bool:
    try:
        select.load(backend, op)
    except select.UnavailableError:
        return False
    return True


def run(
    backends: Sequence[str], ops: Sequence[str], dtypes: Sequence[str] | None = None, seeds: int = 1
) -> Iterator[tuple[int, int, Outcome]]:
    """Every outcome, with its number and the number of all.

    Args:
        backends: Names.
        ops: Stems.
        dtypes: Names; None for all.
        seeds: Inputs drawn for each case.
    """
    todo = [
        (backend, op, case, dtype, seed)
        for backend in backends
        for op in ops
        for case in definition(op).CASES
        for dtype in FLOATS
        for seed in range(seeds)
        if not dtypes or dtype_name(dtype) in dtypes
    ]
    for i, what in enumerate(todo, start=1):
        yield i, len(todo), examine(*what)


def examine(backend: str, op: str, case: Any, dtype: mx.Dtype, seed: int) -> Outcome:
    """One case on one backend. Nothing that goes wrong in it ends the run."""
    facts = (backend, op, dtype_name(dtype), str(case), seed)
    try:
        with select.use_backend(backend):
            variant = select.select(op, definition(op).example(case, dtype, seed)).variant
    except Exception as error:
        # A backend refuses with a RuntimeError; anything else is a fault of ours.
        detail = _one_line(error)
        refused = isinstance(error, RuntimeError) and DIFFERS not in detail
        return Outcome(*facts, NOT_SERVED if refused else WRONG, None, detail)
    try:
        cases.check_case(op, case, dtype, backend, seed=seed)
    except Exception as error:  # AssertionError: a wrong value; others: a launch that failed, the emulator's findings
        return Outcome(*facts, WRONG, variant, _one_line(error))
    return Outcome(*facts, RIGHT, variant, "")


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Counts for each op and dtype by backend, then every case that is not right with its reason."""
    backends = list(dict.fromkeys(o.backend for o in outcomes))
    yield f"{'op':<28}{'dtype':<10}" + "".join(f"{b:>12}" for b in backends)
    counts = Counter((o.op, o.dtype, o.backend, o.status) for o in outcomes)
    for op, dtype in dict.fromkeys((o.op, o.dtype) for o in outcomes):
        cells = []
        for backend in backends:
            n = {status: counts[op, dtype, backend, status] for status in (RIGHT, WRONG, NOT_SERVED)}
            cells.append(f"{n[RIGHT]}/{sum(n.values())}")
        yield f"{op:<28}{dtype:<10}" + "".join(f"{c:>12}" for c in cells)
    for status in (WRONG, NOT_SERVED):
        chosen = [o for o in outcomes if o.status == status]
        if chosen:
            yield f"\n{status}"
        for detail in dict.fromkeys((o.backend, o.op, o.detail) for o in chosen):
            cases = [f"{o.case} {o.dtype}" for o in chosen if (o.backend, o.op, o.detail) == detail]
            more = f" and {len(cases) - 1} more" if len(cases) > 1 else ""
            yield f"  {detail[0]} {detail[1]}, {cases[0]}{more}: {detail[2]}"
    totals = Counter(o.status for o in outcomes)
    yield f"\n{totals[RIGHT]} right, {totals[WRONG]} wrong, {totals[NOT_SERVED]} not served"


def report(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The outcomes and all that ``voxtral-kernels info`` knows of this machine."""
    from .cli.info import gather

    return {"environment": gather(), "outcomes": [asdict(o) for o in outcomes]}


def _with_progress(numbered: Iterator[tuple[int, int, Outcome]]) -> Iterator[Outcome]:
    """Draws a count on standard error if that is a terminal."""
    for i, n, outcome in numbered:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{i} of {n}" if i < n else "\r\x1b[K")
            sys.stderr.flush()
        yield outcome


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, AssertionError) and text else f"{type(error).__name__}: {text}"


if __name__ == "__main__":
    sys.exit(main())
