"""The gated product of packed projections: every backend against the oracle."""

import mlx.core as mx
import pytest

from voxtral_kernels import testing

OP = "silu_mul"
REF = testing.definition(OP)
DTYPES = [*testing.FLOATS] * 2


@pytest.mark.parametrize("dtype", testing.FLOATS, ids=lambda d: str(d).rpartition(".")[2])
@pytest.mark.parametrize("backend", ["composed", "native"])
@pytest.mark.parametrize("case", REF.CASES, ids=str)
def test_matches_oracle(case, dtype, backend):
    testing.check_case(OP, case, dtype, backend)


@pytest.mark.parametrize(("case", "dtype"), list(zip(REF.CASES, DTYPES, strict=False)), ids=str)
def test_emulated_matches_oracle(case, dtype):
    testing.check_case(OP, case, dtype, "emulator")


@pytest.mark.soak
@pytest.mark.parametrize("dtype", testing.FLOATS, ids=lambda d: str(d).rpartition(".")[2])
@pytest.mark.parametrize("backend", ["composed", "native", "emulator"])
def test_matches_oracle_over_the_full_cross(dtype, backend):
    for case in REF.cross():
        testing.check_case(OP, case, dtype, backend)


@pytest.mark.parametrize("value", [0.0, -0.0, 88.0, -88.0, 1e4, -1e4, 3e38, -3e38, float("nan"), float("inf")])
@pytest.mark.parametrize("backend", ["native", "emulator"])
def test_the_ends_of_the_range(value, backend):
    from voxtral_kernels.backends import select

    request = REF.SiluMul(mx.array([[value, 1.0]]))
    with select.use_backend(backend):
        got = select.run(OP, request).item()
    expected = REF.oracle(request).item()
    assert got == pytest.approx(expected, rel=1e-5, abs=1e-30, nan_ok=True)


def test_native_refuses_an_odd_row():
    ext = pytest.importorskip("voxtral_kernels._ext")
    with pytest.raises(ValueError, match=r"^\[silu_mul\] x: expected \[\.\.\., 2 H\]\."):
        ext.silu_mul(mx.zeros((2, 7)))
