"""A row's result on the shaders is bit for bit the same whatever rows stand beside it: every instance for 1 to 16."""

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels.ops.skinny_linear import skinny_linear

FEW = [(mx.bfloat16, 0)]
SOME = [(mx.float32, 0), (mx.float16, 0), (mx.float16, 4), (mx.bfloat16, 5), (mx.float32, 8)]


@pytest.mark.parametrize(
    ("dtype", "bits"), [*FEW, *(pytest.param(*each, marks=pytest.mark.soak) for each in SOME)], ids=str
)
def test_a_row_does_not_depend_on_its_company(dtype, bits):
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
