"""One side of a comparison: a process that holds one tree's package and times or counts what it is asked to.

Started by `compare`, one for each tree, both with this file: requests come as JSON lines on standard input, answers go
as JSON lines to standard output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx

import voxtral_kernels as vk
from voxtral_kernels import testing
from voxtral_kernels._check import dtype_name
from voxtral_kernels.backends import select

from ..cases import suites
from ..measure.timing import Work, evaluate, repeats_for
from ..suites import host
from . import deterministic


def works() -> dict[str, Callable[[], Work]]:
    """Every timed case by name, made when first asked for."""
    found: dict[str, Callable[[], Work]] = {}
    for suite in suites():
        for bench_case in suite.cases:
            for dtype in bench_case.dtypes:
                name = f"{suite.op}, {bench_case.name}, {dtype_name(dtype)}"
                found[name] = lambda s=suite, c=bench_case, d=dtype: _op(s.op, c.case, d)  # type: ignore[misc]
    found["tiny model, 80 ms step"] = _stream_step
    return found | host.works()


def _op(op: str, case: Any, dtype: mx.Dtype) -> Work:
    request = testing.definition(op).example(case, dtype)
    return lambda: select.run(op, request)


def _stream_step() -> Work:
    model = vk.load("tiny")
    stream = model.stream()
    silence = [0.0] * model.config.samples_per_token

    def step() -> None:
        stream.feed(silence)

    return step


class Worker:
    """Answers the requests of `compare`."""

    def __init__(self) -> None:
        self._works = works()
        self._ready: dict[str, tuple[Work, int]] = {}

    def package(self) -> str:
        return str(Path(vk.__file__).resolve().parent)

    def cases(self) -> list[str]:
        return list(self._works)

    def prepare(self, case: str, sample_seconds: float) -> int:
        work = self._works[case]()
        self._ready[case] = work, repeats_for(work, sample_seconds)
        return self._ready[case][1]

    def time(self, case: str) -> float:
        return evaluate(*self._ready[case])

    def forget(self, case: str) -> None:
        del self._ready[case]

    def counters(self) -> dict[str, float]:
        return deterministic.counters()

    def answer(self, line: str) -> str:
        """One request's answer; an exception becomes ``{"error": ...}``."""
        request = json.loads(line)
        try:
            return json.dumps({"result": getattr(self, request.pop("do"))(**request)})
        except Exception as error:
            return json.dumps({"error": f"{type(error).__name__}: {error}"})


def main() -> None:
    """Serve until the requests end."""
    worker = Worker()
    for line in sys.stdin:
        print(worker.answer(line), flush=True)


if __name__ == "__main__":
    main()
