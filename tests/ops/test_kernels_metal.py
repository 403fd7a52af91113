"""The shaders on a Metal device: every case within the rule, and no variant disabled. Runs on a Mac only."""

import os

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels import testing
from voxtral_kernels.backends import selfcheck

# A hosted Mac's GPU may lack what the kernels need; there `selftest` says kernel by kernel what runs.
pytestmark = pytest.mark.skipif(
    not mx.metal.is_available() or os.environ.get("VOXTRAL_KERNELS_TEST_DEVICE") != "gpu",
    reason="needs a Metal device and VOXTRAL_KERNELS_TEST_DEVICE=gpu",
)

CASES = [(op, case) for op in testing.SHADED for case in testing.definition(op).CASES]


@pytest.fixture(autouse=True)
def on_the_gpu():
    with mx.stream(mx.gpu):
        yield


@pytest.mark.parametrize("dtype", testing.FLOATS, ids=lambda d: str(d).rpartition(".")[2])
@pytest.mark.parametrize(("op", "case"), CASES, ids=str)
def test_kernel_matches_oracle(op, case, dtype):
    testing.check_case(op, case, dtype, "metal")


def test_no_variant_is_disabled():
    assert not [reason for reason in selfcheck.report().values() if reason]


def test_gradients_of_uncached_calls():
    q = mx.random.normal((1, 2, 5, 32))

    def loss(q):
        return vk.ada_rms_norm(vk.sliding_window_attention(q, q, q, window=3)).sum()

    with vk.use_backend("metal"):
        ours = mx.grad(loss)(q)
    with vk.use_backend("composed"):
        testing.assert_model_matches(ours, np.array(mx.grad(loss)(q), np.float64), "gradient")
