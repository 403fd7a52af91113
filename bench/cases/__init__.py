"""The benchmark shapes: one file an op, on the same Case as the tests."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from voxtral_kernels import testing

__all__ = ["OPS", "BenchCase", "Suite", "suites"]


# The ops that have a file here.
OPS = tuple(op for op in testing.OPS if importlib.util.find_spec(f"{__name__}.{op}"))


@dataclass(frozen=True)
class BenchCase:
    """A shape of the op's reference Case, and why it is timed."""

    name: str
    case: Any
    why: str
    dtypes: tuple[mx.Dtype, ...] = (mx.float32, mx.bfloat16)


@dataclass(frozen=True)
class Suite:
    """All that the benchmarks know of one op."""

    op: str
    least_bytes: Callable[[Any, int], int]  # (case, itemsize) -> least possible traffic
    flops: Callable[[Any], int]
    cases: list[BenchCase]


def suites(names: tuple[str, ...] = OPS) -> Iterator[Suite]:
    """The suites of these ops."""
    for name in names:
        yield importlib.import_module(f".{name}", __name__).SUITE
