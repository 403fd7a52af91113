"""The same cases for pytest-benchmark: ``pytest bench/ --benchmark-only``."""

import mlx.core as mx
import pytest

from voxtral_kernels import testing
from voxtral_kernels.backends import select

from . import suites

CASES = [(s.op, c, d) for s in suites() for c in s.cases for d in c.dtypes]


def _name(value):
    return getattr(value, "name", str(value).rpartition(".")[2])


@pytest.mark.parametrize("contender", ["ours", "stock"])
@pytest.mark.parametrize(
    ("op", "bench_case", "dtype"), CASES, ids=lambda v: getattr(v, "name", str(v).rpartition(".")[2])
)
def test_case(benchmark, op, bench_case, dtype, contender):
    reference = testing.definition(op)
    request = reference.example(bench_case.case, dtype)
    benchmark.group = f"{op}, {bench_case.name}, {dtype}"
    if contender == "ours":
        benchmark(lambda: mx.eval(select.run(op, request)))
    else:
        benchmark(lambda: mx.eval(reference.composed(request)))
