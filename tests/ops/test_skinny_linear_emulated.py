"""A row's result on the shaders is bit for bit the same whatever rows stand beside it: every instance for 1 to 16."""

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from tests.ops.row_invariance import FAMILIES, check
from voxtral_kernels.backends import emulated
from voxtral_kernels.ops.skinny_linear import skinny_linear

(CANCELLING, *_) = (i for i, (_, form) in enumerate(FAMILIES["skinny_linear"]) if form.get("cancelling"))
SOME = [(mx.bfloat16, 0), (mx.float32, 0), (mx.float16, 0), (mx.float16, 4), (mx.bfloat16, 5), (mx.float32, 8)]


@pytest.mark.parametrize("count", [2, 3, 8, 16])
def test_a_row_does_not_depend_on_its_company(count):
    """Of sums that cancel: what a bfloat16 result then holds is their rounding, so that any other order shows."""
    rows = np.random.default_rng(count).permutation(16)[:count]
    with vk.use_backend("emulator"), emulated.settings(mode="plain"):
        check("skinny_linear", CANCELLING, mx.bfloat16, rows.tolist())


@pytest.mark.soak
@pytest.mark.parametrize(("dtype", "bits"), SOME, ids=str)
def test_nor_on_the_instance_that_serves_it(dtype, bits):
    rng = np.random.default_rng(bits)
    k, n = 32 * 41, 70  # several blocks and stages, a ragged end of both

    def normal(*shape):
        return mx.array(rng.normal(size=shape).astype(np.float32)).astype(dtype)

    x, weight, options = normal(16, k), normal(n, k), {"norm": normal(k), "scale": normal(k), "gated": True}
    parts = mx.quantize(weight, group_size=32, bits=bits) if bits else (weight,)
    with vk.use_backend("emulator"):
        whole = np.array(skinny_linear(x, *parts, **options).astype(mx.float32))
        for count in (1, 2, 3, 8):
            rows = rng.choice(16, count, replace=False)
            alone = skinny_linear(x[mx.array(rows)], *parts, **options)
            assert np.array_equal(np.array(alone.astype(mx.float32)), whole[rows]), count
