"""Every op's case list, the internal ones' too, against its float64 oracle in each dtype, on the composed backend.

On the others: `test_kernels_emulated.py`, `test_kernels_metal.py` and `backends/test_native.py`.
"""

import mlx.core as mx
import numpy as np
import pytest

from voxtral_kernels import testing

OPS = [*testing.OPS, *testing.INTERNAL]
CASES = [(op, case) for op in OPS for case in testing.definition(op).CASES]


@pytest.mark.parametrize("dtype", testing.FLOATS, ids=lambda d: str(d).rpartition(".")[2])
@pytest.mark.parametrize(("op", "case"), CASES, ids=str)
def test_composed_matches_oracle(op, case, dtype):
    testing.check_case(op, case, dtype, "composed")


@pytest.mark.soak
@pytest.mark.parametrize("dtype", testing.FLOATS, ids=lambda d: str(d).rpartition(".")[2])
@pytest.mark.parametrize("op", OPS)
def test_composed_matches_oracle_over_the_full_cross(op, dtype):
    for case in testing.definition(op).cross():
        testing.check_case(op, case, dtype, "composed")


def test_the_rule_refuses_one_wrong_element():
    truth = np.linspace(-1, 1, 64)
    exact = mx.array(truth.astype(np.float32))
    testing.assert_matches(exact, truth, exact)
    off = mx.array(exact)
    off[7] = off[7] + 1e-5
    with pytest.raises(AssertionError, match=r"\(7,\)"):
        testing.assert_matches(off, truth, exact)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16], ids=["float16", "bfloat16"])
def test_the_rule_for_16_bit_is_two_ulp(dtype):
    truth = np.array([1.0, 1.5, -3.0, 0.0])
    exact = mx.array(truth.astype(np.float32))
    ulp = 2.0 ** (-10 if dtype == mx.float16 else -7)
    within = mx.array([1 + 2 * ulp, 1.5 - 2 * ulp, -3.0, 0.0]).astype(dtype)
    testing.assert_matches(within, truth, exact)
    with pytest.raises(AssertionError):
        testing.assert_matches(mx.array([1 + 3 * ulp, 1.5, -3.0, 0.0]).astype(dtype), truth, exact)


def test_the_rule_refuses_nan():
    truth = np.ones(4)
    with pytest.raises(AssertionError):
        testing.assert_matches(mx.array([1.0, float("nan"), 1.0, 1.0]), truth, mx.ones(4))
