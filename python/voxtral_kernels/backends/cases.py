"""Runs an op's case list on a backend and holds it against the oracle: for the tests and for ``selftest``."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np

from .._check import dtype_name
from ..reference.definitions import definition, in_float32
from ..reference.rule import assert_extreme, assert_matches
from . import select
from .select import use_backend


def check_case(op: str, case: Any, dtype: mx.Dtype, backend: str, *, seed: int = 0) -> None:
    """Run one case of the op's list on a backend and hold it against the oracle.

    Raises:
        AssertionError: an output is off, see `assert_matches`, or an input was changed.
        RuntimeError: the backend cannot serve the case.
    """
    ref = definition(op)
    request = ref.example(case, dtype, seed)
    with use_backend(backend):
        out = select.run(op, request)
    mx.eval(out)
    again = ref.example(case, dtype, seed)
    with np.errstate(all="ignore"):  # overflow and NaN are what extreme cases are about
        truth, yardstick = ref.oracle(again), ref.composed(in_float32(again))
    for result, expected, composed in zip(_outputs(out), _outputs(truth), _outputs(yardstick), strict=True):
        assert result.dtype == dtype, f"dtype {dtype_name(result.dtype)}, expected {dtype_name(dtype)}"
        if getattr(case, "extreme", ""):
            assert_extreme(result, expected, stock=backend == "composed")
        else:
            assert_matches(result, expected, composed, stock=backend == "composed")
    for name in request.__dataclass_fields__:
        before, after = getattr(again, name), getattr(request, name)
        if isinstance(before, mx.array):
            assert mx.array_equal(before, after, equal_nan=True).item(), f"input {name} was changed"


def _outputs(result: Any) -> list[Any]:
    """A result as the list of its outputs; the oracle says None for one that the request does not have."""
    return [r for r in result if r is not None] if isinstance(result, tuple) else [result]
