"""The gated product of packed projections: its range and what it refuses. Values: test_cases.py."""

import mlx.core as mx
import pytest

from voxtral_kernels import testing
from voxtral_kernels.backends import select

OP = "silu_mul"
REF = testing.definition(OP)


@pytest.mark.parametrize("value", [0.0, -0.0, 88.0, -88.0, 1e4, -1e4, 3e38, -3e38, float("nan"), float("inf")])
@pytest.mark.parametrize("backend", ["native", "emulator"])
def test_the_ends_of_the_range(value, backend):
    request = REF.SiluMul(mx.array([[value, 1.0]]))
    with select.use_backend(backend):
        got = select.run(OP, request).item()
    expected = REF.oracle(request).item()
    assert got == pytest.approx(expected, rel=1e-5, abs=1e-30, nan_ok=True)


def test_native_refuses_an_odd_row():
    ext = pytest.importorskip("voxtral_kernels._ext")
    with pytest.raises(ValueError, match=r"^\[silu_mul\] x: expected \[\.\.\., 2 H\]\."):
        ext.silu_mul(mx.zeros((2, 7)))
